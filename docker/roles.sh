#!/bin/sh
# Runs once, when the database is made. The owner migrates; the application can neither change nor drop history.
set -eu
psql --username "$POSTGRES_USER" --set ON_ERROR_STOP=1 \
     --set owner_password="$DATABASE_OWNER_PASSWORD" --set app_password="$DATABASE_PASSWORD" <<'SQL'
CREATE ROLE por_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE por_app LOGIN PASSWORD :'app_password';
CREATE DATABASE por OWNER por_owner;
SQL
