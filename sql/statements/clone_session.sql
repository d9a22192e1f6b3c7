-- Makes sessions on both ends print every value in the same way, and wait for nobody for ever.
SELECT set_config(s.name, v.setting, false)
FROM (VALUES
	('search_path', 'pg_catalog, pg_temp'),
	('client_encoding', 'UTF8'),
	('DateStyle', 'ISO, YMD'),
	('IntervalStyle', 'postgres'),
	('TimeZone', 'UTC'),
	('bytea_output', 'hex'),
	('extra_float_digits', '1'),
	('lc_messages', 'C'),
	('lc_monetary', 'C'),
	('quote_all_identifiers', 'off'),
	('xmlbinary', 'base64'),
	('xmloption', 'content'),
	-- Row security would hide rows silently: rather fail.
	('row_security', 'off'),
	('default_transaction_read_only', 'off'),
	('jit', 'off'),
	('client_connection_check_interval', '2s'),
	('lock_timeout', '60s'),
	('statement_timeout', '0'),
	('transaction_timeout', '0'),
	('idle_session_timeout', '0'),
	('idle_in_transaction_session_timeout', '0')) AS v (name, setting)
JOIN pg_settings AS s USING (name)
WHERE s.context = 'user' OR current_setting('is_superuser') = 'on'
