-- Incidents, the outbox and channels: what people are told, and whether it came.

-- What is open, by its key: rounds read their own kinds alone, however many monitors are down.
CREATE INDEX IF NOT EXISTS komainu_incident_standing ON komainu_incident (resolved_at, k, severity);
-- And the most urgent of those that others judge.
CREATE INDEX IF NOT EXISTS komainu_incident_urgent ON komainu_incident (resolved_at, severity);
-- A delivery that failed rests until `retry_at`, and others overtake it. `failed_at`: what
-- has been waiting since, while its channel took others, may be what that one fails at. `unanswered`: attempts of which nobody knows whether
-- they arrived. `company`: larger messages with it in them were refused. `told_to`: a JSON list of the readers who have it.
ALTER TABLE komainu_delivery ADD COLUMN IF NOT EXISTS retry_at BIGINT NULL;
ALTER TABLE komainu_delivery ADD COLUMN IF NOT EXISTS failed_at BIGINT NULL;
ALTER TABLE komainu_delivery ADD COLUMN IF NOT EXISTS unanswered INT NOT NULL DEFAULT 0;
ALTER TABLE komainu_delivery ADD COLUMN IF NOT EXISTS company INT NULL;
ALTER TABLE komainu_delivery ADD COLUMN IF NOT EXISTS told_to TEXT NULL;

-- When it was told elsewhere too, because its channel did not take it in time; and on that other row, instead of which channel.
ALTER TABLE komainu_delivery ADD COLUMN IF NOT EXISTS elsewhere_at BIGINT NULL;
ALTER TABLE komainu_delivery ADD COLUMN IF NOT EXISTS instead_of VARCHAR(100) NULL;
CREATE INDEX IF NOT EXISTS komainu_delivery_elsewhere ON komainu_delivery (state, elsewhere_at, due_at);
-- What is due first, whatever its channel.
CREATE INDEX IF NOT EXISTS komainu_delivery_waiting ON komainu_delivery (state, due_at);

-- All of one message, when it is repeated as it was.
CREATE INDEX IF NOT EXISTS komainu_delivery_notice ON komainu_delivery (notice_id);

-- What the vendor said when it took the message.
ALTER TABLE komainu_delivery ADD COLUMN IF NOT EXISTS answer TEXT NULL;
-- When a drill, and the weekly line, were entered last by the channel's calendar.
ALTER TABLE komainu_channel ADD COLUMN IF NOT EXISTS drilled_at BIGINT NULL;
ALTER TABLE komainu_channel ADD COLUMN IF NOT EXISTS weekly_at BIGINT NULL;

-- Messages of one incident that the channel refused in a row, with nothing taken between them.
ALTER TABLE komainu_channel ADD COLUMN IF NOT EXISTS refused_alone INT NOT NULL DEFAULT 0;

-- A failure of before, with nothing waiting that would be tried again, says nothing of today.
UPDATE komainu_channel SET failures = 0 WHERE failures > 0 AND name NOT IN (SELECT channel FROM komainu_delivery WHERE state = 'waiting');
