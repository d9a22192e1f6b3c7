# SPDX-License-Identifier: PostgreSQL
"""The comparison of the clone family: each change to a clone is found, and named.

Every case takes a true clone of the sample shop, changes one thing in it, and runs the comparison
alone (support/clone_verify.c).
"""
import subprocess

import pytest

from athena_test import BUILD, ROOT, program_environment, run_program

# What is changed in one copy, as SQL, and the beginnings of all that the comparison must say of it.
CHANGES = {
    "rows": {
        "one value": ("UPDATE shop.lines SET quantity = 7 WHERE order_id = 1007 AND line = 2",
                      "rows of table shop.lines differs: source has 3000 rows"),
        "null for empty": ("UPDATE shop.orders SET note = NULL WHERE id = (SELECT min(id) FROM"
                           " shop.orders WHERE note = '' AND placed < '2024-01-01')",
                           "rows of table shop.orders_2023 differs"),
        "last bit of a double": ("UPDATE shop.products SET weight = 0.33333333333333337 WHERE id = 3",
                                 "rows of table shop.products differs"),
        "row lost": ("DELETE FROM shop.vans WHERE plate = 'K-3'",
                     "rows of table shop.vans differs: source has 2 rows"),
        "row added": ("INSERT INTO shop.nothing_in_here VALUES (1)",
                      "rows of table shop.nothing_in_here differs: source has 0 rows, clone has 1 rows"),
        "row of no columns": ("INSERT INTO shop.no_columns_either DEFAULT VALUES",
                              "rows of table shop.no_columns_either differs"),
        "two values swapped": ("UPDATE shop.vehicles SET plate = 'K-9', wheels = 2 WHERE plate = 'K-1'",
                               "rows of table shop.vehicles differs"),
        "unlogged row": ("DELETE FROM shop.carts WHERE ctid = '(0,1)'", "rows of table shop.carts differs"),
    },
    "sequences": {
        "sequence ahead": ("SELECT setval('shop.invoice_number', 8014)",
                           "value of sequence shop.invoice_number differs: source has 8007, clone has 8014"),
        "sequence not called": ("SELECT setval('shop.customers_id_seq', 2090, false)",
                                "value of sequence shop.customers_id_seq differs: source has 2090,"
                                " clone has 2090, not yet called"),
        "sequence step": ("ALTER SEQUENCE shop.invoice_number INCREMENT 8",
                          "sequence shop.invoice_number differs"),
        "sequence owner": ("ALTER SEQUENCE shop.invoice_number OWNED BY NONE",
                           "sequence shop.invoice_number differs"),
    },
    "large objects": {
        "large object lost": ("SELECT lo_unlink(4244)", "large object 4244 is missing in the clone"),
        "large object's owner": ("ALTER LARGE OBJECT 4245 OWNER TO shop_owner",
                                 "large object 4245 differs: source has owner postgres,"),
        "large object changed": ("SELECT lo_put(4242, 50000, 'x')", "large object 4242 differs"),
        "large object longer": ("SELECT lo_put(4243, 0, 'x')", "large object 4243 differs: source has"
                                " owner postgres, 0 bytes"),
        "large object added": ("SELECT lo_create(9999)", "large object 9999 is in the clone only"),
    },
    "tables and columns": {
        "table added": ("CREATE TABLE shop.more ()", "table shop.more is in the clone only",
                        "rights table shop.more is in the clone only"),
        "table's owner": ("ALTER TABLE shop.lines OWNER TO postgres", "table shop.lines differs",
                          "rights table shop.lines differs"),
        "logged": ("ALTER TABLE shop.carts SET LOGGED", "table shop.carts differs"),
        "storage parameter": ("ALTER TABLE shop.products RESET (fillfactor)", "table shop.products differs"),
        "toast parameter": ("ALTER TABLE shop.products RESET (toast.autovacuum_enabled)",
                            "table shop.products differs"),
        "replica identity": ("ALTER TABLE shop.products REPLICA IDENTITY DEFAULT",
                             "table shop.products differs"),
        "inheritance": ("ALTER TABLE shop.vans NO INHERIT shop.vehicles", "table shop.vans differs",
                        "column shop.vans.plate differs", "column shop.vans.wheels differs"),
        "column added": ("ALTER TABLE shop.nothing_in_here ADD more text",
                         "column shop.nothing_in_here.more is in the clone only"),
        "column type": ("ALTER TABLE shop.vans ALTER load_kg TYPE numeric(9, 3)",
                        "column shop.vans.load_kg differs", "rows of table shop.vans differs"),
        "column default": ("ALTER TABLE shop.customers ALTER created DROP DEFAULT",
                           "default of column shop.customers.created is missing in the clone"),
        "not null": ("ALTER TABLE shop.customers ALTER tags DROP NOT NULL",
                     "column shop.customers.tags differs"),
        "identity": ("ALTER TABLE shop.customers ALTER id SET GENERATED BY DEFAULT",
                     "column shop.customers.id differs"),
        "generated": ("ALTER TABLE shop.products ALTER slug DROP EXPRESSION",
                      "column shop.products.slug differs",
                      "default of column shop.products.slug is missing in the clone"),
        "storage": ("ALTER TABLE shop.products ALTER photo SET STORAGE MAIN",
                    "column shop.products.photo differs"),
        "column statistics": ("ALTER TABLE shop.products ALTER title SET STATISTICS 501",
                              "column shop.products.title differs"),
        "column option": ("ALTER TABLE shop.products ALTER weight RESET (n_distinct)",
                          "column shop.products.weight differs"),
    },
    "constraints, indexes, statistics": {
        "primary key": ("ALTER TABLE shop.vehicles DROP CONSTRAINT vehicles_pkey",
                        "constraint vehicles_pkey on shop.vehicles is missing in the clone",
                        "index shop.vehicles_pkey is missing in the clone"),
        "foreign key": ("ALTER TABLE shop.customers DROP CONSTRAINT customers_favourite_fkey",
                        "constraint customers_favourite_fkey on shop.customers is missing in the clone"),
        "deferrable": ("ALTER TABLE shop.products ALTER CONSTRAINT products_maker_fkey NOT DEFERRABLE",
                       "constraint products_maker_fkey on shop.products differs"),
        "validated": ("ALTER TABLE shop.lines VALIDATE CONSTRAINT lines_quantity_sane",
                      "constraint lines_quantity_sane on shop.lines differs"),
        "check": ("ALTER TABLE shop.parcels DROP CONSTRAINT parcels_state_check, ADD CONSTRAINT"
                  " parcels_state_check CHECK (state IN ('new', 'sent'))",
                  "check parcels_state_check on shop.parcels differs"),
        "index condition": ("DROP INDEX shop.parcels_open; CREATE INDEX parcels_open ON shop.parcels"
                            " ((state IN ('new', 'sent'))) WHERE state IN ('new', 'sent')",
                            "definition of index shop.parcels_open differs"),
        "expression of statistics": ("DROP STATISTICS shop.parcels_stats; CREATE STATISTICS"
                                     " shop.parcels_stats ON (state IN ('new', 'lost')), id FROM shop.parcels;"
                                     " ALTER STATISTICS shop.parcels_stats OWNER TO shop_owner",
                                     "definition of statistics shop.parcels_stats differs"),
        "array default": ("ALTER TABLE shop.parcels ALTER marks SET DEFAULT ARRAY['a', 'c']::varchar(8)[]",
                          "default of column shop.parcels.marks differs"),
        "domain's list": ("ALTER DOMAIN shop.colour DROP CONSTRAINT colour_check; ALTER DOMAIN shop.colour"
                          " ADD CONSTRAINT colour_check CHECK (VALUE IN ('red', 'blue'))",
                          "check of domain colour_check on shop.colour differs"),
        "domain constraint": ("ALTER DOMAIN shop.email DROP CONSTRAINT email_has_at",
                              "constraint email_has_at on shop.email is missing in the clone",
                              "comment domain constraint email_has_at on shop.email is missing"),
        "index lost": ("DROP INDEX shop.customers_tags", "index shop.customers_tags is missing in the clone",
                       "comment index shop.customers_tags is missing in the clone"),
        "index parameter": ("ALTER INDEX shop.products_words SET (fastupdate = off)",
                            "definition of index shop.products_words differs"),
        "index statistics": ("ALTER INDEX shop.products_expression ALTER COLUMN 2 SET STATISTICS 301",
                             "index shop.products_expression differs"),
        "clustered": ("ALTER TABLE shop.customers SET WITHOUT CLUSTER",
                      "index shop.customers_pkey differs"),
        "statistics target": ("ALTER STATISTICS shop.orders_stats SET STATISTICS 78",
                              "statistics shop.orders_stats differs"),
    },
    "views": {
        "view query": ("CREATE OR REPLACE VIEW shop.adults AS SELECT id, name, born FROM shop.customers"
                       " WHERE born < '2007-01-01' WITH CASCADED CHECK OPTION",
                       "query of view shop.adults differs"),
        "check option": ("ALTER VIEW shop.adults SET (check_option = local)", "view shop.adults differs"),
        "view option": ("ALTER VIEW shop.open_orders RESET (security_barrier)",
                        "view shop.open_orders differs"),
        "view's default": ("ALTER VIEW shop.adults ALTER name DROP DEFAULT",
                           "default of column shop.adults.name is missing in the clone"),
        "filled": ("REFRESH MATERIALIZED VIEW shop.never_filled",
                   "materialized view shop.never_filled differs"),
    },
    "functions and what is made of them": {
        "function body": ("CREATE OR REPLACE FUNCTION shop.sum_of(VARIADIC numbers numeric[]) RETURNS"
                          " numeric LANGUAGE sql IMMUTABLE AS 'SELECT sum(n)  FROM unnest(numbers) n'",
                          "function shop.sum_of(numeric[]) differs"),
        "function of SQL": ("CREATE OR REPLACE FUNCTION shop.all_sizes() RETURNS SETOF text LANGUAGE sql"
                            " STABLE BEGIN ATOMIC SELECT 'small' UNION ALL SELECT 'larger'; END",
                            "text of function shop.all_sizes() differs"),
        "argument default": ("CREATE OR REPLACE FUNCTION shop.net(gross numeric, rate numeric DEFAULT"
                             " 0.20) RETURNS numeric LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 5"
                             " RETURN round(gross / (1 + rate), 2)",
                             "text of function shop.net(numeric,numeric) differs"),
        "volatility": ("ALTER FUNCTION shop.slug(text) STABLE", "function shop.slug(text) differs"),
        "security definer": ("ALTER FUNCTION shop.order_lines(bigint) SECURITY INVOKER",
                             "function shop.order_lines(bigint) differs"),
        "function setting": ("ALTER FUNCTION shop.order_lines(bigint) RESET search_path",
                             "function shop.order_lines(bigint) differs"),
        "cost": ("ALTER FUNCTION shop.net(numeric, numeric) COST 6",
                 "function shop.net(numeric,numeric) differs"),
        "function's owner": ("ALTER FUNCTION shop.slug(text) OWNER TO postgres",
                             "function shop.slug(text) differs",
                             "rights function shop.slug(pg_catalog.text) differs"),
        "procedure": ("DROP PROCEDURE shop.close_orders",
                      "procedure shop.close_orders(date,bigint) is missing in the clone",
                      "rights procedure shop.close_orders(", "comment procedure shop.close_orders("),
        "aggregate": ("CREATE OR REPLACE AGGREGATE shop.largest(numeric) (SFUNC = shop.keep_larger,"
                      " STYPE = numeric, INITCOND = '1', PARALLEL = safe,"
                      " COMBINEFUNC = shop.keep_larger)", "aggregate shop.largest(numeric) differs"),
        "operator": ("ALTER OPERATOR shop.=== (shop.address, shop.address) SET (JOIN = NONE)",
                     "operator shop.===(shop.address,shop.address) differs"),
        "operator class": ("DROP OPERATOR FAMILY shop.length_ops USING btree CASCADE",
                           "operator class shop.length_ops for btree is missing in the clone",
                           "operator family shop.length_ops for btree is missing in the clone"),
        "cast": ("DROP CAST (shop.money_in AS text); CREATE CAST (shop.money_in AS text) WITH FUNCTION"
                 " shop.money_in_text(shop.money_in)", "cast shop.money_in as text differs"),
    },
    "types": {
        "label added": ("ALTER TYPE shop.order_state ADD VALUE 'lost'", "enum shop.order_state differs"),
        "domain default": ("ALTER DOMAIN shop.positive SET DEFAULT 2", "default of type shop.positive differs"),
        "domain not null": ("ALTER DOMAIN shop.positive DROP NOT NULL", "domain shop.positive differs"),
        "attribute": ("ALTER TYPE shop.money_in ADD ATTRIBUTE more text CASCADE",
                      "column shop.money_in.more is in the clone only", "rows of table shop.lines"),
        "type's owner": ("ALTER TYPE shop.price_range OWNER TO postgres", "range shop.price_range differs"),
    },
    "triggers, rules, policies": {
        "trigger disabled": ("ALTER TABLE shop.customers DISABLE TRIGGER note_customer",
                             "trigger note_customer on shop.customers differs"),
        "trigger enabled": ("ALTER TABLE shop.products ENABLE TRIGGER note_late",
                            "trigger note_late on shop.products differs"),
        "trigger condition": ("CREATE OR REPLACE TRIGGER note_parcel BEFORE UPDATE ON shop.parcels FOR EACH ROW"
                              " WHEN (NEW.state IN ('sent', 'new')) EXECUTE FUNCTION shop.note_change('parcel')",
                              "definition of trigger note_parcel on shop.parcels differs"),
        "condition of a policy": ("ALTER POLICY open_parcels ON shop.parcels USING (state IN ('new', 'lost'))",
                                  "conditions of policy open_parcels on shop.parcels differs"),
        "trigger of a partition": ('ALTER TABLE shop.orders_2023 DISABLE TRIGGER "note order"',
                                   'trigger "note order" on shop.orders_2023 is in the clone only'),
        "rule enabled": ('ALTER TABLE shop.audit ENABLE RULE "no update"',
                         'rule "no update" on shop.audit differs'),
        "rule lost": ("DROP RULE no_delete ON shop.audit",
                      "rule no_delete on shop.audit is missing in the clone"),
        "rule's query": ('CREATE OR REPLACE RULE "no update" AS ON UPDATE TO shop.audit WHERE old.what'
                         " LIKE '%rder%' DO ALSO INSERT INTO shop.nothing_in_here SELECT 1 WHERE false",
                         'definition of rule "no update" on shop.audit differs'),
        "row security off": ("ALTER TABLE shop.customers DISABLE ROW LEVEL SECURITY",
                             "table shop.customers differs"),
        "row security forced": ("ALTER TABLE shop.customers FORCE ROW LEVEL SECURITY",
                                "table shop.customers differs"),
        "policy": ("ALTER POLICY no_anonymous ON shop.customers USING (id > 0)",
                   "conditions of policy no_anonymous on shop.customers differs"),
        "policy's roles": ("ALTER POLICY own_rows ON shop.customers TO shop_reader",
                           "policy own_rows on shop.customers differs"),
        "event trigger": ("ALTER EVENT TRIGGER no_drop DISABLE", "event trigger no_drop differs"),
    },
    "comments": {
        "comment on table": ("COMMENT ON TABLE shop.customers IS NULL",
                             "comment table shop.customers is missing in the clone"),
        "comment on column": ("COMMENT ON COLUMN shop.customers.settings IS 'Free form, second line'",
                              "comment table column shop.customers.settings differs"),
        "comment on constraint": ("COMMENT ON CONSTRAINT email_has_at ON DOMAIN shop.email IS 'Better'",
                                  "comment domain constraint email_has_at on shop.email differs"),
        "comment on function": ("COMMENT ON FUNCTION shop.sum_of(numeric[]) IS NULL",
                                "comment function shop.sum_of"),
        "comment on trigger": ("COMMENT ON TRIGGER note_customer ON shop.customers IS NULL",
                               "comment trigger note_customer on shop.customers is missing"),
        "comment on policy": ("COMMENT ON POLICY own_rows ON shop.customers IS NULL",
                              "comment policy own_rows on shop.customers is missing"),
        "comment on index": ("COMMENT ON INDEX shop.customers_tags IS NULL",
                             "comment index shop.customers_tags is missing"),
        "comment on large object": ("COMMENT ON LARGE OBJECT 4242 IS NULL",
                                    "comment large object 4242 is missing"),
        "comment on schema": ("COMMENT ON SCHEMA shop IS NULL", "comment schema shop is missing"),
        "comment added": ("COMMENT ON TABLE shop.vans IS 'x'",
                          "comment table shop.vans is in the clone only"),
    },
    "rights": {
        "right on table lost": ("REVOKE SELECT ON shop.products FROM shop_reader",
                                "rights table shop.products differs"),
        "right on table added": ("GRANT TRUNCATE ON shop.lines TO shop_reader",
                                 "rights table shop.lines differs"),
        "grant option": ('REVOKE GRANT OPTION FOR INSERT ON shop.audit FROM "shop ""Auditor"""',
                         "rights table shop.audit differs"),
        "right on column": ('REVOKE UPDATE (name) ON shop.customers FROM "shop ""Auditor"""',
                            "rights table column shop.customers.name differs"),
        "right on sequence": ("REVOKE USAGE ON SEQUENCE shop.invoice_number FROM shop_reader",
                              "rights sequence shop.invoice_number differs"),
        "right on function": ("GRANT EXECUTE ON FUNCTION shop.slug(text) TO PUBLIC",
                              "rights function shop.slug(pg_catalog.text) differs"),
        "right on type": ("GRANT USAGE ON TYPE shop.order_state TO PUBLIC",
                          "rights type shop.order_state differs"),
        "right on schema": ('REVOKE USAGE ON SCHEMA "Übersicht" FROM shop_reader',
                            'rights schema "Übersicht" differs'),
        "right on large object": ("REVOKE SELECT ON LARGE OBJECT 4242 FROM shop_reader",
                                  "large object 4242 differs"),
        "right on foreign server": ("GRANT USAGE ON FOREIGN SERVER warehouse TO shop_reader",
                                    "rights server warehouse differs"),
        "right on Postgres' own": ("GRANT EXECUTE ON FUNCTION pg_sleep(float8) TO PUBLIC",
                                   "changed rights function pg_catalog.pg_sleep(double precision)"
                                   " is missing in the clone"),
        "default rights": ("ALTER DEFAULT PRIVILEGES FOR ROLE shop_owner IN SCHEMA shop"
                           " REVOKE SELECT ON TABLES FROM shop_reader",
                           "default rights of shop_owner on r in shop is missing in the clone"),
    },
    "everything else": {
        "schema added": ("CREATE SCHEMA more", "schema more is in the clone only",
                         "rights schema more is in the clone only"),
        "schema's owner": ("ALTER SCHEMA shop OWNER TO postgres", "schema shop differs",
                           "rights schema shop differs"),
        "extension lost": ("DROP EXTENSION pg_trgm CASCADE", "extension pg_trgm is missing in the clone",
                           "extension version pg_trgm is missing in the clone",
                           "comment extension pg_trgm is missing in the clone",
                           "index shop.products_title_trgm is missing in the clone"),
        "extension's schema": ("ALTER EXTENSION postgres_fdw SET SCHEMA shop",
                               "extension postgres_fdw differs"),
        "collation": ("ALTER COLLATION shop.case_c RENAME TO other_c",
                      "collation shop.case_c is missing in the clone",
                      "collation shop.other_c is in the clone only"),
        "conversion": ("DROP CONVERSION shop.latin_too",
                       "conversion shop.latin_too is missing in the clone"),
        "dictionary": ("ALTER TEXT SEARCH DICTIONARY shop.plain (accept = true)",
                       "text search dictionary shop.plain differs"),
        "configuration": ("ALTER TEXT SEARCH CONFIGURATION shop.titles DROP MAPPING FOR word",
                          "text search configuration shop.titles differs"),
        "foreign server": ("ALTER SERVER warehouse OPTIONS (SET host '192.0.2.2')",
                           "foreign server warehouse differs"),
        "password of a mapping": ("ALTER USER MAPPING FOR shop_reader SERVER warehouse"
                                  " OPTIONS (SET password 'another')",
                                  "user mapping shop_reader on warehouse differs"),
        "foreign table": ("ALTER FOREIGN TABLE shop.stock OPTIONS (SET table_name 'other')",
                          "foreign table shop.stock differs"),
        "foreign column": ("ALTER FOREIGN TABLE shop.stock ALTER pieces OPTIONS (SET column_name 'm')",
                           "column shop.stock.pieces differs"),
    },
    "what takes others with it": {
        "statistics": ("DROP STATISTICS shop.orders_stats",
                       "statistics shop.orders_stats is missing in the clone"),
        "table lost": ("DROP TABLE shop.nothing_in_here CASCADE",
                       "table shop.nothing_in_here is missing in the clone",
                       "column shop.nothing_in_here.id is missing in the clone",
                       'rule "no update" on shop.audit is missing in the clone',
                       "rights table shop.nothing_in_here is missing in the clone",
                       "rows of table shop.nothing_in_here is missing in the clone"),
        "trigger lost": ('DROP TRIGGER "note order" ON shop.orders',
                         'trigger "note order" on shop.orders is missing in the clone'),
        "public lost": ("DROP SCHEMA public CASCADE", "schema public is missing in the clone",
                        "rights schema public", "comment schema public", "extension ",
                        "comment extension ", "foreign server ", "comment server ",
                        "rights server ", "user mapping ", "foreign table shop.stock ",
                        "column shop.stock.", "rights foreign table ", "index shop.products_title_trgm "),
        "partition": ("TRUNCATE shop.orders, shop.lines;"
                      " ALTER TABLE shop.orders DETACH PARTITION shop.orders_2024",
                      "table shop.orders_2024 differs", "index shop.orders_2024",
                      "constraint orders_customer_fkey on shop.orders_2024",
                      "rows of table shop.orders", "rows of table shop.lines"),
    },
}

# What belongs to the database and is no part of a dump.
DATABASE_CHANGES = {
    "comment": ("COMMENT ON DATABASE {} IS 'Another shop'", "comment on database differs"),
    "setting": ("ALTER DATABASE {} SET work_mem = '9MB'", "setting of database work_mem differs"),
    "list setting": ('ALTER DATABASE {} SET search_path = "$user", public',
                     "setting of database search_path differs"),
    "setting of a role": ("ALTER ROLE shop_reader IN DATABASE {} RESET statement_timeout",
                          "setting of database statement_timeout for shop_reader is missing"),
    "right lost": ("REVOKE CONNECT ON DATABASE {} FROM shop_reader",
                   "right on database shop_reader CONNECT is missing"),
    "right added": ("GRANT TEMPORARY ON DATABASE {} TO PUBLIC",
                    "right on database public TEMPORARY is in the clone only"),
    "owner": ("ALTER DATABASE {} OWNER TO shop_owner", "owner of database differs"),
    "connection limit": ("ALTER DATABASE {} CONNECTION LIMIT 7",
                         "connection limit of database differs: source has -1, clone has 7"),
}


def compare(source, target, *options):
    return subprocess.run([BUILD / "tests/support/clone_verify", *options, source.url, target.url],
                          capture_output=True, text=True, timeout=60,
                          env=program_environment("/tmp"))


@pytest.fixture(scope="module")
def shop(cluster):
    """The sample shop, and a clone of it."""
    shop = cluster.new_database(label="shop")
    run_program("psql", "-X", "-q", "-f", ROOT / "tools/sample_shop.sql", shop.url)
    copy = cluster.create_database(shop.name + "_copy", template=shop.name)
    assert compare(shop, copy, "--copy").returncode == 0, "the copy is no copy"
    yield shop, copy
    copy.drop()
    shop.drop()


@pytest.fixture
def changed(shop, cluster):
    """A copy of the copy, for a test to spoil."""
    shop[1].close()
    database = cluster.new_database(shop[1].name, "spoilt")
    yield database
    database.drop()


def test_an_unchanged_copy_is_equal(shop, changed):
    done = compare(shop[0], changed, "--copy")
    assert done.returncode == 0, done.stdout
    assert "the clone equals its source: " in done.stdout
    assert "verification_difference" not in done.stdout


def differences(done):
    mark = "verification_difference: "
    return [line.removeprefix(mark) for line in done.stdout.splitlines() if line.startswith(mark)]


@pytest.mark.parametrize("group", CHANGES)
def test_finds(shop, changed, group):
    expected = []
    changed.query("SET session_replication_role = replica")
    for name, (sql, *findings) in CHANGES[group].items():
        changed.query(sql)
        expected += findings
    done = compare(shop[0], changed, "--copy")
    assert done.returncode == 1, done.stdout
    found = differences(done)
    assert [text for text in expected if not any(line.startswith(text) for line in found)] == []
    assert [line for line in found if not any(line.startswith(text) for text in expected)] == []
    warnings = [line for line in found if line.startswith("extension version ")]
    assert f"in {len(found) - len(warnings)} places: " in done.stdout


@pytest.mark.parametrize("name", DATABASE_CHANGES)
def test_finds_in_the_database_itself(shop, name):
    sql, expected = DATABASE_CHANGES[name]
    source, copy = shop
    assert compare(source, copy, "--copy").returncode == 0
    copy.query(sql.format(f'"{copy.name}"'))
    try:
        done = compare(source, copy)
        assert done.returncode == 1, done.stdout
        assert f"verification_difference: {expected}" in done.stdout
    finally:
        copy.query(f'ALTER DATABASE "{copy.name}" RESET ALL')
        copy.query(f'ALTER DATABASE "{copy.name}" CONNECTION LIMIT -1')


def test_a_stale_materialized_view_only_warns(shop, changed):
    changed.query("REFRESH MATERIALIZED VIEW shop.turnover WITH NO DATA;"
                  "SET session_replication_role = replica")
    changed.query("UPDATE pg_class SET relispopulated = true WHERE relname = 'turnover'")
    done = compare(shop[0], changed, "--copy")
    assert done.returncode == 0, done.stdout
    assert "rows of materialized view shop.turnover differs" in done.stdout


def test_names_the_first_few_differences_in_the_error(shop, changed):
    changed.query("UPDATE shop.vans SET wheels = 5; DROP INDEX shop.customers_tags")
    done = compare(shop[0], changed, "--copy")
    (error,) = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert error.startswith("error: verification_failed: the clone differs from its source in 3 places: ")
    assert "index shop.customers_tags is missing in the clone" in error
    assert "rows of table shop.vans differs" in error


def test_does_not_print_passwords(shop, changed):
    changed.query("ALTER USER MAPPING FOR shop_reader SERVER warehouse OPTIONS (SET password 'secret-x')")
    done = compare(shop[0], changed, "--copy")
    assert done.returncode == 1
    assert "secret-x" not in done.stdout and "canary-fdw" not in done.stdout
