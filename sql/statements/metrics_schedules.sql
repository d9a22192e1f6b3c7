-- Schedules by family: how many are paused or not, for how long the most overdue one has been due, and what became of their fire times.
SELECT s.family, k.state, k.outcome,
       sum(((s.paused_at IS NOT NULL) = (k.state = 'paused'))::integer) AS schedules,
       CASE WHEN k.state = 'active' THEN greatest(extract(epoch FROM now() - min(s.next_at) FILTER (WHERE s.paused_at IS NULL)), 0) END AS overdue_s,
       sum(CASE k.outcome WHEN 'queued' THEN s.queued WHEN 'skipped' THEN s.skipped WHEN 'failed' THEN s.failed END) AS fires
  FROM athena.schedules AS s,
       (VALUES ('active', NULL), ('paused', NULL), (NULL, 'queued'), (NULL, 'skipped'), (NULL, 'failed')) AS k (state, outcome)
 GROUP BY s.family, k.state, k.outcome
 ORDER BY s.family, k.state, k.outcome
