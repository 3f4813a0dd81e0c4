// Progressive enhancement only: progress and cancel of an upload, and files dropped on its form.
(() => {
  let request = null;
  const part = (form, name) => form.querySelector(`[data-upload-${name}]`);

  document.addEventListener("dragover", (event) => {
    if (event.target.closest("[data-upload]")) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    const form = event.target.closest("[data-upload]");
    if (!form || !event.dataTransfer.files.length) return;
    event.preventDefault();
    form.querySelector("input[type=file]").files = event.dataTransfer.files;
  });

  const stop = (form, text) => {
    request = null;
    part(form, "progress").hidden = true;
    part(form, "status").textContent = text;
    form.querySelectorAll("[aria-busy]").forEach((button) => button.removeAttribute("aria-busy"));
  };
  const show = (form, { response, responseURL, status }) => {
    const main = response?.getElementById("main");
    if (!main) {
      stop(form, part(form, "status").dataset.failed);
      return;
    }
    request = null;
    document.title = response.title;
    document.getElementById("main").replaceWith(document.adoptNode(main));
    if (status === 200) history.replaceState(null, "", responseURL);
    (main.querySelector(".esum, .msg") ?? main).focus();
    main.scrollIntoView();
  };

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-upload]") || event.defaultPrevented) return;
    if (!form.querySelector("input[type=file]").files.length) return; // the server says what is missing
    event.preventDefault();
    if (request) return;
    const bar = part(form, "progress").querySelector("progress");
    request = new XMLHttpRequest();
    request.open("POST", location.href);
    request.responseType = "document";
    request.upload.addEventListener("progress", (sent) => {
      if (sent.lengthComputable) bar.value = (100 * sent.loaded) / sent.total;
    });
    const { failed, cancelled } = part(form, "status").dataset;
    request.addEventListener("abort", () => stop(form, cancelled));
    request.addEventListener("error", () => stop(form, failed));
    request.addEventListener("load", (loaded) => show(form, loaded.target));
    part(form, "status").textContent = "";
    bar.value = 0;
    part(form, "progress").hidden = false;
    request.send(new FormData(form));
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-upload-cancel]")) request?.abort();
  });
})();
