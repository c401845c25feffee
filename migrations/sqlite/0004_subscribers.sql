-- Who is told of what stands on public pages, and what is to be told them.

-- One row per address and page. `address`: a mail address or the URL of a webhook: personal, and gone with the row. `address_hash`, `person_hash`:
-- keyed hashes of the address on this page, and of whose it is on all pages. `state`: asked, confirmed, ended. `components`: a JSON list of
-- public ids; empty: all. `nonce`: what the secret of a webhook follows from. `wish`: what was asked for and is not confirmed, JSON; it counts
-- from `asked_at`. `greet_at`: when they are asked to confirm it; `greet_attempts`: how often that was tried; `greeting_at`: since when a try of it
-- is in doubt. `told`: the last of komainu_page_news that they need no more. `attempts`, `retry_at`, `sending_at`: the same at the next one;
-- `failures`: given up in a row; `refusals`: of the next one, by a mail server that took others'. `created_by`: NULL: a visitor of the page.
CREATE TABLE IF NOT EXISTS komainu_page_subscriber (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  public_id TEXT NOT NULL UNIQUE,
  slug TEXT NOT NULL,
  kind TEXT NOT NULL,
  address TEXT NOT NULL,
  address_hash TEXT NOT NULL UNIQUE,
  person_hash TEXT NOT NULL,
  state TEXT NOT NULL,
  components TEXT NOT NULL,
  language TEXT NOT NULL,
  nonce TEXT NOT NULL,
  wish TEXT NULL,
  asked_at INTEGER NOT NULL,
  greet_at INTEGER NULL,
  greet_attempts INTEGER NOT NULL DEFAULT 0,
  greeting_at INTEGER NULL,
  told INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  failures INTEGER NOT NULL DEFAULT 0,
  refusals INTEGER NOT NULL DEFAULT 0,
  trouble TEXT NULL,
  retry_at INTEGER NULL,
  claimed_by TEXT NULL,
  claimed_until INTEGER NULL,
  sending_at INTEGER NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NULL,
  confirmed_at INTEGER NULL,
  ended_at INTEGER NULL
);
CREATE INDEX IF NOT EXISTS komainu_page_subscriber_behind ON komainu_page_subscriber (slug, kind, state, told);
CREATE INDEX IF NOT EXISTS komainu_page_subscriber_greeted ON komainu_page_subscriber (greet_at);
CREATE INDEX IF NOT EXISTS komainu_page_subscriber_person ON komainu_page_subscriber (person_hash, asked_at);

-- What a page said, as it said it: JSON of public words. Entered with it under the lock of komainu_page_revision, so the ids are in the order
-- in which they can be read. `notice_id`: the public one. `about`: a JSON list of public ids of all that the notice was ever about; empty: the whole.
CREATE TABLE IF NOT EXISTS komainu_page_news (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  slug TEXT NOT NULL,
  notice_id TEXT NOT NULL,
  about TEXT NOT NULL,
  body TEXT NOT NULL,
  entered_at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS komainu_page_news_by_page ON komainu_page_news (slug, id);
CREATE INDEX IF NOT EXISTS komainu_page_news_by_notice ON komainu_page_news (notice_id, id);
