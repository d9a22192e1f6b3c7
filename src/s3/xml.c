/* SPDX-License-Identifier: PostgreSQL */
/* Small XML documents by expat. */
#include "s3/xml.h"

#include <expat.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { DEPTH_MAX = 16, NAME_BYTES_MAX = 256, TEXT_BYTES_MAX = 16384 };

struct xml {
	XML_Parser parser;
	const struct xml_taker *taker;
	struct buf path;
	struct buf text; /* of the innermost element */
	int depth;
	const char *refusal; /* NULL: none of ours */
};

static void refuse(struct xml *xml, const char *why)
{
	xml->refusal = why;
	XML_StopParser(xml->parser, XML_FALSE);
}

static void on_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
	struct xml *xml = context;

	(void)attributes;
	if (++xml->depth > DEPTH_MAX || strlen(name) > NAME_BYTES_MAX) {
		refuse(xml, "elements too deep or too long");
		return;
	}
	buf_printf(&xml->path, "%s%s", xml->depth > 1 ? "/" : "", name);
	buf_reset(&xml->text);
}

static void cut_last_name(struct buf *path)
{
	const char *slash = path->bytes ? strrchr(path->bytes, '/') : NULL;
	size_t length = slash ? (size_t)(slash - path->bytes) : 0;

	if (path->bytes)
		path->bytes[length] = '\0';
	path->length = length;
}

static const char *trimmed(struct buf *text)
{
	static const char blanks[] = " \t\r\n";

	while (text->length > 0 && strchr(blanks, text->bytes[text->length - 1]))
		text->bytes[--text->length] = '\0';
	return text->bytes ? text->bytes + strspn(text->bytes, blanks) : "";
}

static void on_end(void *context, const XML_Char *name)
{
	struct xml *xml = context;

	(void)name;
	xml->taker->take(
		xml->taker->context, xml->path.bytes ? xml->path.bytes : "", trimmed(&xml->text));
	cut_last_name(&xml->path);
	buf_reset(&xml->text);
	xml->depth--;
}

static void on_text(void *context, const XML_Char *text, int length)
{
	struct xml *xml = context;

	if (xml->text.length + (size_t)length > TEXT_BYTES_MAX)
		refuse(xml, "a text too long");
	else
		buf_add(&xml->text, text, (size_t)length);
}

static void on_doctype(void *context, const XML_Char *name, const XML_Char *system_id,
	const XML_Char *public_id, int has_internal)
{
	(void)name, (void)system_id, (void)public_id, (void)has_internal;
	refuse(context, "a document type");
}

static const char *reason_of(const struct xml *xml)
{
	return xml->refusal ? xml->refusal : XML_ErrorString(XML_GetErrorCode(xml->parser));
}

bool xml_read(const char *bytes, size_t length, const struct xml_taker *taker, struct err *e)
{
	struct xml xml = {.taker = taker, .parser = XML_ParserCreate(NULL)};
	bool ok;

	if (!xml.parser)
		abort();
	XML_SetUserData(xml.parser, &xml);
	XML_SetElementHandler(xml.parser, on_start, on_end);
	XML_SetCharacterDataHandler(xml.parser, on_text);
	XML_SetStartDoctypeDeclHandler(xml.parser, on_doctype);
	ok = length <= INT32_MAX &&
		XML_Parse(xml.parser, bytes, (int)length, XML_TRUE) == XML_STATUS_OK;
	if (!ok)
		err_code(e, ERR_PERMANENT, "s3_refused", "an answer that is no XML: %s",
			reason_of(&xml));
	buf_clear(&xml.path);
	buf_clear(&xml.text);
	XML_ParserFree(xml.parser);
	return ok;
}
