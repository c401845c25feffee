# Makes komainu's database users when the database is made. The image's entrypoint reads this file into itself, which is
# why it is not executable, and provides `docker_process_sql`. For a database that is there already:
# `docker compose exec db bash /docker-entrypoint-initdb.d/users.sh`.
#
# Three users. That of `komainu migrate` may change tables, and passes on to those of watchdogs and of native nodes what each
# needs of each table (`--grant`); `komainu migrate --dry-run` prints it all. The passwords are 64 hex digits, as `setup` makes
# them, so nothing in them ends a text of SQL.

komainu_secrets=${KOMAINU_SECRETS:-/run/secrets}

# A password, or the end of it all: an empty one would let everybody in.
komainu_password_of() {
  local password
  password=$(cat "$komainu_secrets/$1_password")
  case $password in
    "" | *[!0-9a-f]*) echo "users.sh: $1_password is not made of hex digits; compose/setup makes it" >&2; return 1 ;;
  esac
  echo "$password"
}

komainu_make_users() {
  local watchdog node migrate
  watchdog=$(komainu_password_of watchdog) || return 1
  node=$(komainu_password_of node) || return 1
  migrate=$(komainu_password_of migrate) || return 1
  docker_process_sql --database=mysql <<SQL
CREATE USER IF NOT EXISTS 'komainu_watchdog'@'%' IDENTIFIED BY '$watchdog';
CREATE USER IF NOT EXISTS 'komainu_node'@'%' IDENTIFIED BY '$node';
CREATE USER IF NOT EXISTS 'komainu_migrate'@'%' IDENTIFIED BY '$migrate';
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, TRIGGER ON \`$MARIADB_DATABASE\`.* TO 'komainu_migrate'@'%' WITH GRANT OPTION;
SQL
}

if ! declare -F docker_process_sql >/dev/null; then
  docker_process_sql() { MYSQL_PWD=$(cat "$komainu_secrets/root_password") mariadb --user=root "$@"; }
fi
komainu_make_users
