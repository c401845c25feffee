-- Who is told of what stands on public pages, and what is to be told them.

-- One row per address and page. `address`: a mail address or the URL of a webhook: personal, and gone with the row. `address_hash`, `person_hash`:
-- keyed hashes of the address on this page, and of whose it is on all pages. `state`: asked, confirmed, ended. `components`: a JSON list of
-- public ids; empty: all. `nonce`: what the secret of a webhook follows from. `wish`: what was asked for and is not confirmed, JSON; it counts
-- from `asked_at`. `greet_at`: when they are asked to confirm it; `greet_attempts`: how often that was tried; `greeting_at`: since when a try of it
-- is in doubt. `told`: the last of komainu_page_news that they need no more. `attempts`, `retry_at`, `sending_at`: the same at the next one;
-- `failures`: given up in a row; `refusals`: of the next one, by a mail server that took others'. `created_by`: NULL: a visitor of the page.
CREATE TABLE IF NOT EXISTS komainu_page_subscriber (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  public_id CHAR(24) NOT NULL UNIQUE,
  slug VARCHAR(60) NOT NULL,
  kind VARCHAR(10) NOT NULL,
  address TEXT NOT NULL,
  address_hash CHAR(64) NOT NULL UNIQUE,
  person_hash CHAR(64) NOT NULL,
  state VARCHAR(10) NOT NULL,
  components MEDIUMTEXT NOT NULL,
  language VARCHAR(10) NOT NULL,
  nonce CHAR(32) NOT NULL,
  wish MEDIUMTEXT NULL,
  asked_at BIGINT NOT NULL,
  greet_at BIGINT NULL,
  greet_attempts INT NOT NULL DEFAULT 0,
  greeting_at BIGINT NULL,
  told BIGINT NOT NULL,
  attempts INT NOT NULL DEFAULT 0,
  failures INT NOT NULL DEFAULT 0,
  refusals INT NOT NULL DEFAULT 0,
  trouble TEXT NULL,
  retry_at BIGINT NULL,
  claimed_by CHAR(16) NULL,
  claimed_until BIGINT NULL,
  sending_at BIGINT NULL,
  created_at BIGINT NOT NULL,
  created_by VARCHAR(190) NULL,
  confirmed_at BIGINT NULL,
  ended_at BIGINT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX IF NOT EXISTS komainu_page_subscriber_behind ON komainu_page_subscriber (slug, kind, state, told);
CREATE INDEX IF NOT EXISTS komainu_page_subscriber_greeted ON komainu_page_subscriber (greet_at);
CREATE INDEX IF NOT EXISTS komainu_page_subscriber_person ON komainu_page_subscriber (person_hash, asked_at);

-- What a page said, as it said it: JSON of public words. Entered with it under the lock of komainu_page_revision, so the ids are in the order
-- in which they can be read. `notice_id`: the public one. `about`: a JSON list of public ids of all that the notice was ever about; empty: the whole.
CREATE TABLE IF NOT EXISTS komainu_page_news (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  slug VARCHAR(60) NOT NULL,
  notice_id CHAR(24) NOT NULL,
  about MEDIUMTEXT NOT NULL,
  body MEDIUMTEXT NOT NULL,
  entered_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC;
CREATE INDEX IF NOT EXISTS komainu_page_news_by_page ON komainu_page_news (slug, id);
CREATE INDEX IF NOT EXISTS komainu_page_news_by_notice ON komainu_page_news (notice_id, id);
