/* SPDX-License-Identifier: PostgreSQL */
/* What failed requests mean. */
#include "s3/failure.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* What servers refuse for; a request whose time is further off is refused for that. */
enum { SKEW_ALLOWED_S = 15 * 60 };

struct meaning {
	enum err_kind kind;
	const char *code;
};

static const struct {
	const char *word;
	struct meaning meaning;
} words[] = {
	{"NoSuchKey", {ERR_PERMANENT, "s3_not_found"}},
	{"NoSuchUpload", {ERR_PERMANENT, "s3_not_found"}},
	{"NoSuchBucket", {ERR_PERMANENT, "s3_no_such_bucket"}},
	{"InvalidAccessKeyId", {ERR_PERMANENT, "s3_credentials"}},
	{"SignatureDoesNotMatch", {ERR_PERMANENT, "s3_credentials"}},
	{"ExpiredToken", {ERR_PERMANENT, "s3_expired"}},
	{"InvalidToken", {ERR_PERMANENT, "s3_expired"}},
	{"TokenRefreshRequired", {ERR_PERMANENT, "s3_expired"}},
	{"AccessDenied", {ERR_PERMANENT, "s3_denied"}},
	{"PermanentRedirect", {ERR_PERMANENT, "s3_wrong_region"}},
	{"TemporaryRedirect", {ERR_PERMANENT, "s3_wrong_region"}},
	{"AuthorizationHeaderMalformed", {ERR_PERMANENT, "s3_wrong_region"}},
	{"IllegalLocationConstraintException", {ERR_PERMANENT, "s3_wrong_region"}},
	{"PreconditionFailed", {ERR_PERMANENT, "s3_changed"}},
	{"EntityTooLarge", {ERR_PERMANENT, "s3_too_large"}},
	{"RequestTimeTooSkewed", {ERR_TRANSIENT, "s3_clock"}},
	{"BadDigest", {ERR_TRANSIENT, "s3_checksum"}},
	{"XAmzContentSHA256Mismatch", {ERR_TRANSIENT, "s3_checksum"}},
	{"IncompleteBody", {ERR_TRANSIENT, "s3_network"}},
	{"SlowDown", {ERR_TRANSIENT, "s3_busy"}},
	{"ServiceUnavailable", {ERR_TRANSIENT, "s3_busy"}},
	{"RequestLimitExceeded", {ERR_TRANSIENT, "s3_busy"}},
	{"TooManyRequests", {ERR_TRANSIENT, "s3_busy"}},
	{"InternalError", {ERR_TRANSIENT, "s3_server"}},
	{"OperationAborted", {ERR_TRANSIENT, "s3_server"}},
	{"RequestTimeout", {ERR_TRANSIENT, "s3_timeout"}},
};

/* For an answer without a word that is known. */
static struct meaning meaning_of_status(long status)
{
	switch (status) {
	case 301:
	case 302:
	case 307:
	case 308:
		return (struct meaning){ERR_PERMANENT, "s3_wrong_region"};
	case 401:
	case 403:
		return (struct meaning){ERR_PERMANENT, "s3_denied"};
	case 404:
		return (struct meaning){ERR_PERMANENT, "s3_not_found"};
	case 408:
		return (struct meaning){ERR_TRANSIENT, "s3_timeout"};
	case 412:
		return (struct meaning){ERR_PERMANENT, "s3_changed"};
	case 429:
	case 503:
		return (struct meaning){ERR_TRANSIENT, "s3_busy"};
	case 501:
		return (struct meaning){ERR_PERMANENT, "s3_refused"};
	default:
		return status >= 500 ? (struct meaning){ERR_TRANSIENT, "s3_server"}
				     : (struct meaning){ERR_PERMANENT, "s3_refused"};
	}
}

static struct meaning meaning_of(const struct failure *failure)
{
	for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
		if (strcmp(words[i].word, failure->error.code) == 0)
			return words[i].meaning;
	/* HEAD has no body that would say so. */
	if ((failure->status == 400 || failure->status == 403) && !failure->error.code[0] &&
		llabs(failure->skew_s) > SKEW_ALLOWED_S)
		return (struct meaning){ERR_TRANSIENT, "s3_clock"};
	return meaning_of_status(failure->status);
}

/* What the code means for who has to mend it. */
static void add_advice(const struct failure *failure, const char *code, struct buf *text)
{
	const char *region = failure->region ? failure->region : failure->error.region;

	if (strcmp(code, "s3_clock") == 0 && failure->skew_s != 0)
		buf_printf(text, "; our clock is %" PRId64 " s %s the server's",
			(int64_t)llabs(failure->skew_s),
			failure->skew_s > 0 ? "behind" : "ahead of");
	else if (strcmp(code, "s3_wrong_region") == 0 && *region)
		buf_printf(text, "; set backup.s3.region to %.64s", region);
	else if (strcmp(code, "s3_wrong_region") == 0)
		buf_text(text, "; check backup.s3.endpoint and region");
	else if (strcmp(code, "s3_credentials") == 0)
		buf_text(text, "; check the key id and its secret");
	else if (strcmp(code, "s3_expired") == 0)
		buf_text(text, "; the credentials are temporary and must be renewed");
}

bool failure_of_answer(const struct failure *failure, struct err *e)
{
	struct meaning meaning = meaning_of(failure);
	struct buf text CLEANUP(buf_clear) = {0};

	buf_printf(&text, "%s: the server answers %ld", failure->what, failure->status);
	if (failure->error.code[0])
		buf_printf(&text, " %s", failure->error.code);
	if (failure->error.message[0])
		buf_printf(&text, ": %s", failure->error.message);
	add_advice(failure, meaning.code, &text);
	if (failure->request_id)
		buf_printf(&text, " (request %.128s)", failure->request_id);
	return err_code(e, meaning.kind, meaning.code, "%s", text.bytes);
}

bool failure_of_transfer(const char *what, int code, const char *text, struct err *e)
{
	const char *why = *text ? text : curl_easy_strerror((CURLcode)code);

	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return err_code(e, ERR_TRANSIENT, "s3_timeout", "%s: %s", what, why);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return err_code(e, ERR_PERMANENT, "s3_tls", "%s: %s", what, why);
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_URL_MALFORMAT:
		return err_code(e, ERR_CONFIG, "s3_config", "%s: %s", what, why);
	default:
		return err_code(e, ERR_TRANSIENT, "s3_network", "%s: %s", what, why);
	}
}

bool failure_is(const struct err *e, const char *code)
{
	return strcmp(e->code, code) == 0;
}

bool failure_may_pass(const struct err *e)
{
	return e->kind == ERR_TRANSIENT && !failure_is(e, "s3_clock");
}
