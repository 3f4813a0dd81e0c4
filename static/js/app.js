// Progressive enhancement only: every page works without this file.
(() => {
  const root = document.documentElement;
  const YEAR = 365 * 24 * 3600;

  // --- Theme: does what the form does on the server, without loading the page again
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-theme-form]") || !event.submitter) return;
    event.preventDefault();
    const theme = event.submitter.value;
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `theme=${theme}; path=/; max-age=${YEAR}; samesite=lax${secure}`;
    root.dataset.theme = theme;
    [...event.target.querySelectorAll("button")].find((button) => button.checkVisibility())?.focus();
  });

  // --- Shortcuts of one key: never while typing, and only if they are not switched off (WCAG 2.1.4)
  document.addEventListener("keydown", (event) => {
    if (root.dataset.shortcuts === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, [contenteditable]")) return;
    const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (!target) return;
    event.preventDefault();
    if (target.matches("input, textarea, select")) target.focus();
    else target.click();
  });

  // --- J and K go from row to row of a list; Enter opens the link that has the focus
  document.addEventListener("keydown", (event) => {
    if (root.dataset.shortcuts === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!["j", "k"].includes(event.key) || event.target.closest("input, textarea, select, [contenteditable]")) return;
    const links = [...document.querySelectorAll("[data-rows] tbody th a")];
    const here = links.indexOf(document.activeElement);
    const next = event.key === "j" ? here + 1 : Math.max(here - 1, 0);
    links[Math.min(next, links.length - 1)]?.focus();
  });

  // --- Ctrl and Enter send a form that says so, also while typing
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    const form = event.target.form ?? event.target.closest("form");
    if (form?.matches("[data-ctrl-enter]")) form.requestSubmit(form.querySelector("button.btn--p"));
  });

  // --- A form that is being sent is not sent twice
  const busy = (form) => form.querySelectorAll("[aria-busy]");
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.target.method === "get") return;
    if (busy(event.target).length) {
      event.preventDefault();
      return;
    }
    event.submitter?.setAttribute("aria-busy", "true");
  });
  const rest = (where) => busy(where).forEach((button) => button.removeAttribute("aria-busy"));
  addEventListener("pageshow", () => rest(document));
  document.addEventListener("htmx:afterRequest", (event) => rest(event.target.closest("form") ?? event.target));

  // --- Menus close on a click elsewhere and on Escape
  const menus = () => document.querySelectorAll("details.menu[open]");
  document.addEventListener("click", (event) => {
    menus().forEach((menu) => {
      if (!menu.contains(event.target)) menu.open = false;
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menus().forEach((menu) => {
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  });

  // --- New content gets the focus: the list of errors, or what the page marks with data-focus
  const announce = (where) => {
    const errors = where.querySelector(".esum");
    const prefix = `${document.body.dataset.error} `;
    const title = document.title.replace(prefix, "");
    document.title = errors ? prefix + title : title;
    (errors ?? where.querySelector("[data-focus]"))?.focus();
  };
  announce(document);
  document.addEventListener("htmx:afterSettle", (event) => announce(event.target));

  // --- When a part of the page could not be fetched
  document.addEventListener("htmx:beforeSwap", (event) => {
    const signIn = document.body.dataset.signIn;
    if (new URL(event.detail.xhr.responseURL || location.href).pathname !== signIn) return;
    event.preventDefault();
    location.reload(); // the session has ended: the whole page goes to the sign-in, not a part of it
  });
  const failed = (event) => {
    if (event.target.matches("[data-poll]")) return; // it polls again by itself
    const main = document.getElementById("main");
    main.querySelector("[data-failed]")?.remove();
    main.prepend(document.getElementById("failed").content.cloneNode(true));
    main.querySelector("[data-failed]").focus();
  };
  document.addEventListener("htmx:responseError", failed);
  document.addEventListener("htmx:sendError", failed);
})();
