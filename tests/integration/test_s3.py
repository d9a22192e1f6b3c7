# SPDX-License-Identifier: PostgreSQL
"""The S3 client against a strict server, another client, and a proxy that loses, cuts and lies."""
import hashlib
import json
import random
import re
import subprocess

import pytest

from s3_server import (BUCKET, SECRET, FaultProxy, answer, cut_answer, error, faketime_library,
                       lose_answer, replace_answer, reset, silence)

MIB = 1 << 20
# Three parts of 5 MiB, the last one shorter.
BYTES = random.Random(1).randbytes(10 * MIB + 12345)


@pytest.fixture
def key(request):
    """A key of the test's own."""
    return "t/" + re.sub(r"\W+", "-", request.node.name)


def etag_of_parts(data, size=5 * MIB):
    digests = [hashlib.md5(data[at:at + size]).digest() for at in range(0, len(data), size)]
    return f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"


# --- What it does

def test_an_object_comes_back(s3, key):
    data = BYTES[:100_000]
    s3.run("put", key, stdin=data)
    assert s3.run("get", key).bytes == data
    assert s3.run("get", key, 99_000).bytes == data[99_000:]
    assert s3.run("get", key, 10, 20).bytes == data[10:30]
    assert s3.run("get", key, 99_990, 4000).bytes == data[99_990:]
    size, etag, time = s3.run("head", key).stdout.split()
    assert (size, etag) == ("100000", hashlib.md5(data).hexdigest()) and int(time) > 1_700_000_000
    s3.run("delete", key)
    s3.run("delete", key)
    assert s3.run("get", key, status=1).error[1] == "s3_not_found"
    assert s3.run("head", key, status=1).error[1] == "s3_not_found"


def test_an_object_beyond_its_end(s3, key):
    s3.run("put", key, stdin=b"")
    assert s3.run("get", key).bytes == b""
    s3.run("put", key, stdin=b"abc")
    assert s3.run("get", key, 4, status=1).error[1] == "s3_refused"


@pytest.mark.parametrize("name", ["a b+c%20&=?#", "ümlaut-€-🐘", "x/../y/./z//", "a'b\"<c>"])
def test_keys_of_any_kind(s3, name):
    key = f"odd/{name}"
    s3.run("put", key, stdin=name.encode())
    assert s3.run("get", key).stdout == name
    assert key in s3.run("list", "odd/").keys()
    s3.run("delete", key)


def test_an_upload_is_read_by_another_client(s3, key, tmp_path):
    done = s3.run("upload", key, stdin=BYTES)
    size, etag, _ = done.stdout.split()
    assert (int(size), etag) == (len(BYTES), etag_of_parts(BYTES))
    parts = json.loads(done.stderr.splitlines()[0])
    assert [part["bytes"] for part in parts] == [5 * MIB, 5 * MIB, 12345]
    assert parts[1]["sha256"] == hashlib.sha256(BYTES[5 * MIB:10 * MIB]).hexdigest()
    s3.s3cmd("get", f"s3://{BUCKET}/{key}", tmp_path / "object")
    assert (tmp_path / "object").read_bytes() == BYTES
    assert s3.run("get", key).bytes == BYTES
    assert b"a  label with  blanks" in s3.s3cmd("info", f"s3://{BUCKET}/{key}")
    assert s3.is_clean()


def test_what_another_client_wrote_is_read(s3, key, tmp_path):
    (tmp_path / "object").write_bytes(BYTES)
    s3.s3cmd("put", "--multipart-chunk-size-mb=6", tmp_path / "object", f"s3://{BUCKET}/{key}")
    assert s3.run("get", key).bytes == BYTES


@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 5 * MIB + 1])
def test_uploads_of_any_size(s3, key, size):
    s3.run("upload", key, stdin=BYTES[:size])
    assert s3.run("get", key).bytes == BYTES[:size]
    assert s3.is_clean()


def test_lists_go_on_over_pages(s3, proxy):
    """The server is told to give ten at a time."""
    keys = [f"pages/{number:02} +ä" for number in range(23)]
    for name in keys:
        s3.run("put", name)
    assert s3.run("list", "pages/", via=proxy).keys() == keys
    assert proxy.count("GET") == 3
    assert s3.run("list", "nothing/").stdout == ""


def test_unfinished_uploads_are_found_and_aborted(s3, key):
    upload = s3.run("begin", key, stdin=BYTES + BYTES).stdout.strip()
    ((_, _, _, begun, found, name),) = s3.run("uploads", "t/").rows()
    assert (found, name) == (upload, key) and int(begun) > 1_700_000_000
    assert ["1", str(5 * MIB)] in [row[:2] for row in s3.run("parts", key, upload).rows()]
    s3.run("abort", key, upload)
    s3.run("abort", key, upload)
    assert s3.is_clean()
    assert s3.run("parts", key, upload, status=1).error[1] == "s3_not_found"


def test_the_bucket_as_a_store(s3, key):
    """store/store.h; keys stand behind the prefix, of which its users see nothing."""
    done = s3.run("store", key, stdin=BYTES, prefix="some/where/")
    assert done.stdout.splitlines() == [
        "s3://backups/some/where", key, str(len(BYTES)), f"{key} {len(BYTES)}", hashlib.sha256(BYTES).hexdigest(),
        "no_object"]
    assert s3.is_clean() and s3.run("list", "some/").stdout == ""


def test_a_store_that_is_not_there(s3, key):
    assert s3.run("store", key, bucket="no-such-bucket", status=1).error[:2] == ["permanent", "no_bucket"]
    assert s3.run("store", key, bucket=None, status=1).error[:2] == ["permanent", "s3_config"]
    assert s3.run("store", key, prefix="../x", status=1).error[:2] == ["permanent", "s3_config"]


def test_the_bucket_in_the_host(s3, key):
    s3.run("upload", key, stdin=BYTES, style="host", endpoint=f"http://localhost:{s3.port}")
    assert s3.run("get", key, style="host", endpoint=f"http://localhost:{s3.port}").bytes == BYTES
    assert s3.run("list", key, style="host", endpoint=f"http://localhost:{s3.port}").keys() == [key]


def test_memory_is_three_parts(s3, key):
    """Of 64 MiB, as of anything; what the program takes without is seen by a head."""
    data = BYTES[:8 * MIB] * 8
    s3.run("put", key)
    base_kb = s3.run("head", key).memory_kb
    assert s3.run("upload", key, stdin=data).memory_kb < base_kb + (3 * 5 + 3) * 1024
    done = s3.run("get", key)
    assert done.bytes == data and done.memory_kb < base_kb + 2 * 1024


# --- What goes wrong and passes

@pytest.mark.parametrize("code, act", [
    ("s3_network", reset(1 * MIB)),
    ("s3_network", lose_answer),
    ("s3_server", error(500, "InternalError")),
    ("s3_busy", error(503, "SlowDown")),
    ("s3_busy", answer(429, Retry_After="0")),
    ("s3_timeout", error(400, "RequestTimeout")),
    ("s3_checksum", error(400, "BadDigest")),
    ("s3_server", answer(502, "<html>a proxy's</html>")),
])
def test_a_part_that_fails_is_sent_again(s3, proxy, key, code, act):
    proxy.on("PUT", "partNumber=2", act, times=2)
    done = s3.run("upload", key, stdin=BYTES, via=proxy)
    assert done.retries == [code, code] and proxy.is_done()
    assert s3.run("get", key).bytes == BYTES
    assert s3.is_clean()


def test_a_request_without_an_answer_is_given_up(s3, proxy, key):
    s3.run("put", key, stdin=b"abc")
    proxy.on("GET", key, silence)
    done = s3.run("get", key, via=proxy, stall_timeout="1s", tries=100)
    assert set(done.retries) == {"s3_timeout"} and proxy.is_done() and done.stdout == "abc"


@pytest.mark.parametrize("act, asks", [
    (lose_answer, 1),  # it was done: HEAD says so
    (reset(0), 2),  # it was not
    (error(500, "InternalError"), 2),
    (error(200, "InternalError"), 2),  # an error after all
    (answer(200, ""), 2),
    (replace_answer("<Error><Code>InternalError</Code></Error>"), 1),  # done, and denied
])
def test_a_complete_of_which_nobody_knows(s3, proxy, key, act, asks):
    proxy.on("POST", "uploadId=", act)
    done = s3.run("upload", key, stdin=BYTES, via=proxy)
    assert proxy.is_done() and proxy.count("POST", "uploadId=") == asks and proxy.count("HEAD") == 1
    assert int(done.stdout.split()[0]) == len(BYTES)
    assert s3.run("get", key).bytes == BYTES
    assert s3.is_clean()


def test_a_complete_that_is_refused(s3, proxy, key):
    proxy.on("POST", "uploadId=", error(200, "InvalidPart"))
    done = s3.run("upload", key, stdin=BYTES, via=proxy, status=1)
    assert done.error[:2] == ["permanent", "s3_refused"] and "InvalidPart" in done.error[2]
    assert proxy.count("POST", "uploadId=") == 1
    assert s3.run("head", key, status=1).error[1] == "s3_not_found"
    assert s3.is_clean()


def test_a_complete_where_another_object_stands(s3, proxy, key):
    s3.run("put", key, stdin=b"another")
    proxy.on("POST", "uploadId=", error(404, "NoSuchUpload"))
    done = s3.run("upload", key, stdin=BYTES, via=proxy, status=1)
    assert done.error[1] == "s3_refused" and "another length" in done.error[2]
    assert s3.run("get", key).bytes == b"another"


def test_reading_goes_on_where_it_ended(s3, proxy, key):
    s3.run("put", key, stdin=BYTES)
    proxy.on("GET", key, cut_answer(3 * MIB)).on("GET", key, reset(0)).on("GET", key, cut_answer(4 * MIB))
    proxy.on("GET", key, error(503, "SlowDown"))
    done = s3.run("get", key, via=proxy)
    assert done.bytes == BYTES and proxy.is_done()
    assert done.retries == ["s3_network", "s3_network", "s3_network", "s3_busy"]
    ranges = [one.headers.get("range") for one in proxy.seen]
    assert ranges[0] is None and ranges[-1] == f"bytes={7 * MIB}-{len(BYTES) - 1}"


def test_an_object_that_changes_is_never_mixed(s3, proxy, key):
    s3.run("put", key, stdin=BYTES)
    proxy.on("GET", key, cut_answer(1 * MIB, then=lambda: s3.run("put", key, stdin=BYTES[::-1])))
    done = s3.run("get", key, via=proxy, status=1)
    assert done.error[1] == "s3_changed" and BYTES.startswith(done.bytes)


def test_a_server_without_ranges(s3, proxy, key):
    s3.run("put", key, stdin=b"0123456789")
    proxy.on("GET", key, answer(200, "0123456789"))
    assert s3.run("get", key, 5, via=proxy, status=1).error[1] == "s3_refused"


# --- What goes wrong and stays so

def test_tries_end(s3, proxy, key):
    proxy.on("PUT", key, error(503, "SlowDown"), times=3)
    done = s3.run("put", key, via=proxy, tries=3, status=1)
    assert done.error[:2] == ["transient", "s3_busy"] and done.retries == ["s3_busy"] * 2
    assert proxy.count("PUT") == 3
    # Each try was signed by itself.
    assert all("Signature=" in one.headers["authorization"] for one in proxy.seen)


def test_nobody_listens(s3, proxy):
    proxy.close()
    done = s3.run("head", "x", via=proxy, tries=2, status=1)
    assert done.error[:2] == ["transient", "s3_network"] and done.retries == ["s3_network"]


@pytest.mark.parametrize("settings, code", [
    ({"secret_access_key": "wrong-secret"}, "s3_credentials"),
    ({"access_key_id": "test:nobody"}, "s3_credentials"),
    ({"region": "eu-west-1"}, "s3_wrong_region"),
    ({"bucket": "no-such-bucket"}, "s3_no_such_bucket"),
])
def test_refusals_of_the_server(s3, proxy, settings, code):
    done = s3.run("list", via=proxy, status=1, **settings)
    assert done.error[:2] == ["permanent", code] and len(proxy.seen) == 1
    if code == "s3_wrong_region":
        assert "set backup.s3.region to us-east-1" in done.error[2]


@pytest.mark.parametrize("act, kind, code, text", [
    (error(400, "ExpiredToken"), "permanent", "s3_expired", "must be renewed"),
    (error(403, "AccessDenied"), "permanent", "s3_denied", "a test"),
    (error(301, "PermanentRedirect", X_Amz_Bucket_Region="ap-south-1", Location="http://127.0.0.1:1/"),
     "permanent", "s3_wrong_region", "set backup.s3.region to ap-south-1"),
    (answer(307, Location="http://127.0.0.1:1/"), "permanent", "s3_wrong_region", "check"),
    (error(400, "EntityTooLarge"), "permanent", "s3_too_large", ""),
    (answer(200, "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"),
     "permanent", "s3_refused", "goes on"),
    (answer(200, "<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"), "permanent", "s3_refused", "document type"),
    (answer(200, "x" * (9 << 20)), "permanent", "s3_refused", "above"),
])
def test_refusals_that_this_server_does_not_know(s3, proxy, act, kind, code, text):
    proxy.on("GET", "", act)
    done = s3.run("list", via=proxy, status=1)
    assert done.error[:2] == [kind, code] and text in done.error[2] and len(proxy.seen) == 1


@pytest.mark.parametrize("command", ["list", "head"])
@pytest.mark.parametrize("offset, words", [("-1200", r"1[12]\d\d s behind"), ("+1200", r"1[12]\d\d s ahead of")])
def test_clocks_that_differ(s3, command, offset, words):
    done = s3.run(command, "x", status=1, env={"LD_PRELOAD": faketime_library(), "FAKETIME": offset})
    assert done.error[:2] == ["transient", "s3_clock"] and re.search(words, done.error[2]), done.error


def test_certificates(s3, key, tmp_path):
    pem = tmp_path / "own.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=a test", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", pem, "-out", tmp_path / "ca.pem"], check=True, capture_output=True)
    pem.write_text(pem.read_text() + (tmp_path / "ca.pem").read_text())
    proxy = FaultProxy(s3, certificate=pem)
    try:
        assert s3.run("put", key, via=proxy, status=1).error[:2] == ["permanent", "s3_tls"]
        assert not proxy.seen
        s3.run("upload", key, stdin=BYTES, via=proxy, ca_file=tmp_path / "ca.pem")
        assert s3.run("get", key, via=proxy, ca_file=tmp_path / "ca.pem").bytes == BYTES
    finally:
        proxy.close()


# --- Who we are

def test_credentials_of_a_file_and_of_the_environment(s3, tmp_path):
    path = tmp_path / "credentials"
    path.write_text(f"[default]\naws_access_key_id = x\naws_secret_access_key = y\n"
                    f"[backup]\naws_access_key_id = test:tester\naws_secret_access_key = {SECRET}\n")
    none = {"access_key_id": None, "secret_access_key": None}
    s3.run("list", credentials_file=path, profile="backup", **none)
    assert s3.run("list", credentials_file=path, status=1, **none).error[1] == "s3_credentials"
    s3.run("list", env={"AWS_ACCESS_KEY_ID": "test:tester", "AWS_SECRET_ACCESS_KEY": SECRET}, **none)
    assert s3.run("list", status=1, **none).error[:2] == ["config", "s3_config"]


def test_secrets_are_said_to_nobody(s3, proxy, key):
    """They go nowhere but into signatures, and a session's token into its header, which is signed."""
    canaries = {"secret_access_key": "canary-secret", "session_token": "canary-token"}
    proxy.on("PUT", "", error(503, "SlowDown-canary-secret"), times=2)
    done = s3.run("put", key, via=proxy, status=1, **canaries)
    assert done.error and "canary" not in done.stdout
    assert "canary" not in done.stderr.replace("SlowDown-canary-secret", "")
    for one in proxy.seen:
        assert one.headers["x-amz-security-token"] == "canary-token"
        assert "x-amz-security-token" in one.headers["authorization"]
        assert "canary-secret" not in one.head.decode()
