-- Incidents, the outbox and channels: what people are told, and whether it came.

-- What is open, by its key: rounds read their own kinds alone, however many monitors are down.
CREATE INDEX IF NOT EXISTS komainu_incident_standing ON komainu_incident (resolved_at, k, severity);
