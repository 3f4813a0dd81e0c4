#!/bin/sh
# Makes the roles and the database that are missing; the container runs it once, when it makes its data. The owner
# migrates, the worker works on the queues, and the web server adds to them. Only the owner could change history.
set -eu
psql --username "${POSTGRES_USER:-postgres}" --set ON_ERROR_STOP=1 --set owner_password="$DATABASE_OWNER_PASSWORD" \
     --set app_password="$DATABASE_PASSWORD" --set worker_password="$DATABASE_WORKER_PASSWORD" <<'SQL'
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', name, password)
  FROM (VALUES ('por_owner', :'owner_password'), ('por_app', :'app_password'), ('por_worker', :'worker_password'))
    AS wanted (name, password)
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
SELECT 'CREATE DATABASE por OWNER por_owner'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'por') \gexec
SQL
