# Makes komainu's database users when the database is made. The image's entrypoint reads this file into itself, which is
# why it is not executable, and provides `docker_process_sql`.
#
# Two users: watchdogs and nodes can change rows and no table; only `komainu migrate` can. The passwords are 64 hex digits,
# as `setup` makes them, so nothing in them ends a text of SQL.

# A password, or the end of it all: an empty one would let everybody in.
komainu_password_of() {
  local password
  password=$(cat "${KOMAINU_SECRETS:-/run/secrets}/$1_password")
  case $password in
    "" | *[!0-9a-f]*) echo "users.sh: $1_password is not made of hex digits; compose/setup makes it" >&2; return 1 ;;
  esac
  echo "$password"
}

komainu_make_users() {
  local komainu migrate
  komainu=$(komainu_password_of komainu) || return 1
  migrate=$(komainu_password_of migrate) || return 1
  docker_process_sql --database=mysql <<SQL
CREATE USER IF NOT EXISTS 'komainu'@'%' IDENTIFIED BY '$komainu';
CREATE USER IF NOT EXISTS 'komainu_migrate'@'%' IDENTIFIED BY '$migrate';
GRANT SELECT, INSERT, UPDATE, DELETE ON \`$MARIADB_DATABASE\`.* TO 'komainu'@'%', 'komainu_migrate'@'%';
GRANT CREATE, ALTER, DROP, INDEX, REFERENCES ON \`$MARIADB_DATABASE\`.* TO 'komainu_migrate'@'%';
SQL
}

komainu_make_users
