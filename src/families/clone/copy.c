/* SPDX-License-Identifier: PostgreSQL */
/*
 * One loop for all lanes. A piece starts when both sides are in COPY, is moved until the source has
 * no more, and is done when both sides have said so.
 */
#include "families/clone/copy.h"

#include <inttypes.h>
#include <poll.h>

#include "base/clock.h"
#include "base/fault.h"
#include "db/query.h"
#include "families/clone/left_out.h"
#include "families/clone/progress.h"

enum {
	CHUNK_BYTES = 128 * 1024,     /* sent at once: rows are many and small */
	TURN_BYTES = 2 * 1024 * 1024, /* before the other lanes have theirs */
	PIECES_PER_LANE = 4,
	HUNG_UP = POLLHUP | POLLERR | POLLRDHUP,
	EVENT_TABLES = 500, /* the first so many tables are events, then only large ones */
};

static const int64_t piece_bytes_min = 16 * 1024 * 1024;
static const int64_t event_bytes = 16 * 1024 * 1024;

enum stage { STAGE_IDLE, STAGE_START, STAGE_MOVE, STAGE_END };

/* A lane at work. */
struct stream {
	struct lane *lane;
	enum stage stage;
	int piece;		    /* row of copy.pieces */
	bool source_ok, staging_ok; /* at this stage */
	bool is_full;		    /* the staging side has not taken all yet */
	bool has_more;		    /* the turn was over before the rows were */
	struct buf chunk;
	int64_t bytes, begun_ms;
};

struct copy {
	struct clone *clone;
	struct stream *streams;
	int count;
	PGresult *pieces;
	int next, done;
	bool is_alone; /* a piece runs that nothing may run beside */
};

static const char *piece_name(const struct copy *copy, const struct stream *stream)
{
	return row_text(copy->pieces, stream->piece, "name");
}

static void copy_clear(struct copy *copy)
{
	for (int i = 0; i < copy->count; i++)
		buf_clear(&copy->streams[i].chunk);
	free(copy->streams);
	PQclear(copy->pieces);
}

/* A part of the whole for each lane, and several of them, since not all take equally long. */
static int64_t piece_bytes(const struct clone *clone, int lanes)
{
	int64_t bytes = clone->table_bytes / ((int64_t)lanes * PIECES_PER_LANE);

	return bytes > piece_bytes_min ? bytes : piece_bytes_min;
}

static bool read_pieces(struct copy *copy, struct err *e)
{
	struct clone *clone = copy->clone;
	struct params params CLEANUP(params_clear) = {0};

	params_i64(&params, piece_bytes(clone, copy->count));
	params_text(&params, row_text(clone->facts, 0, "encoding"));
	left_out_add(clone, &params);
	return attempt_query(clone->attempt, &clone->source.conn, &sql_clone_copies, &params,
		       &copy->pieces, e) ||
		err_in(e, "listing tables to copy");
}

/* What went wrong on one side, and where. */
static bool side_failed(const struct copy *copy, const struct stream *stream, const char *side,
	const struct conn *conn, const PGresult *result, struct err *e)
{
	if (result)
		query_err(result, e);
	if (!result || PQstatus(conn->pg) == CONNECTION_BAD)
		err_code(e, ERR_TRANSIENT, "no_connection", "%.*s",
			(int)strcspn(PQerrorMessage(conn->pg), "\n"), PQerrorMessage(conn->pg));
	if (e->kind == ERR_CANCELLED)
		e->kind = ERR_TRANSIENT;
	return err_in(e, "copying table %s: %s", piece_name(copy, stream), side);
}

static bool send(const struct copy *copy, const struct stream *stream, const char *side,
	struct conn *conn, struct err *e)
{
	if (!PQsendQuery(conn->pg, row_text(copy->pieces, stream->piece, side)) ||
		PQflush(conn->pg) < 0)
		return side_failed(copy, stream, side, conn, NULL, e);
	return true;
}

static bool stream_start(struct copy *copy, struct stream *stream, struct err *e)
{
	stream->piece = copy->next++;
	stream->stage = STAGE_START;
	stream->source_ok = stream->staging_ok = false;
	stream->bytes = 0;
	stream->begun_ms = clock_boot_ms();
	copy->is_alone = row_bool(copy->pieces, stream->piece, "is_alone");
	return !FAULT_FAILS("clone_copies", "send", PQsocket(stream->lane->staging.pg), e) &&
		send(copy, stream, "source", &stream->lane->source, e) &&
		send(copy, stream, "staging", &stream->lane->staging, e);
}

/* Takes what has come, until `wanted` or, at PGRES_EMPTY_QUERY, until the end of all results. */
static bool take(const struct copy *copy, const struct stream *stream, const char *side,
	struct conn *conn, ExecStatusType wanted, bool *ret_ok, struct err *e)
{
	if (*ret_ok)
		return true;
	if (PQflush(conn->pg) < 0 || !PQconsumeInput(conn->pg))
		return side_failed(copy, stream, side, conn, NULL, e);
	while (!*ret_ok && !PQisBusy(conn->pg)) {
		PGresult *result CLEANUP(clear_result) = PQgetResult(conn->pg);

		if (!result && wanted != PGRES_EMPTY_QUERY)
			return side_failed(copy, stream, side, conn, NULL, e);
		if (result && PQresultStatus(result) != wanted && !query_ok(result))
			return side_failed(copy, stream, side, conn, result, e);
		*ret_ok = !result || PQresultStatus(result) == wanted;
	}
	return true;
}

static bool both(const struct copy *copy, struct stream *stream, ExecStatusType source,
	ExecStatusType staging, struct err *e)
{
	stream->is_full = PQflush(stream->lane->staging.pg) > 0;
	return take(copy, stream, "staging", &stream->lane->staging, staging, &stream->staging_ok,
		       e) &&
		take(copy, stream, "source", &stream->lane->source, source, &stream->source_ok, e);
}

/* Hands the chunk over, and sends what the socket takes. */
static bool put(struct copy *copy, struct stream *stream, struct err *e)
{
	PGconn *staging = stream->lane->staging.pg;
	int left;

	if (stream->chunk.length > 0 &&
		PQputCopyData(staging, stream->chunk.bytes, (int)stream->chunk.length) != 1)
		return side_failed(copy, stream, "staging", &stream->lane->staging, NULL, e);
	stream->bytes += (int64_t)stream->chunk.length;
	copy->clone->piped_bytes += (int64_t)stream->chunk.length;
	buf_reset(&stream->chunk);
	left = PQflush(staging);
	if (left < 0)
		return side_failed(copy, stream, "staging", &stream->lane->staging, NULL, e);
	stream->is_full = left > 0;
	return true;
}

/* No more rows: both sides have to say how it went; after a refusal only that which refused. */
static bool stream_end(struct copy *copy, struct stream *stream, const char *refusal, struct err *e)
{
	if (!put(copy, stream, e))
		return false;
	if (PQputCopyEnd(stream->lane->staging.pg, refusal) != 1)
		return side_failed(copy, stream, "staging", &stream->lane->staging, NULL, e);
	stream->stage = STAGE_END;
	stream->source_ok = refusal != NULL;
	stream->staging_ok = false;
	return true;
}

/* The next row, or what PQgetCopyData() says instead: 0 none for now, -1 no more, -2 broken. */
static int next_row(PGconn *source, char **ret_row)
{
	int length = PQgetCopyData(source, ret_row, 1);

	if (length == 0)
		length = PQconsumeInput(source) ? PQgetCopyData(source, ret_row, 1) : -2;
	return length;
}

/* Rows until there are none for now, the other side is full, or the turn is over. */
static bool stream_move(struct copy *copy, struct stream *stream, struct err *e)
{
	PGconn *source = stream->lane->source.pg;
	int64_t until = stream->bytes + TURN_BYTES;

	stream->has_more = false;
	if (!put(copy, stream, e))
		return false;
	while (!stream->is_full && stream->bytes < until) {
		char *row;
		int length = next_row(source, &row);

		if (length == -2)
			return side_failed(copy, stream, "source", &stream->lane->source, NULL, e);
		if (length < 0)
			return stream_end(copy, stream, NULL, e);
		if (length == 0)
			return put(copy, stream, e);
		buf_add(&stream->chunk, row, (size_t)length);
		PQfreemem(row);
		if (stream->chunk.length >= CHUNK_BYTES && !put(copy, stream, e))
			return false;
	}
	stream->has_more = !stream->is_full;
	return true;
}

static void stream_finish(struct copy *copy, struct stream *stream)
{
	int64_t pieces = row_i64(copy->pieces, stream->piece, "pieces");

	stream->stage = STAGE_IDLE;
	copy->is_alone = false;
	copy->done++;
	if (copy->done > EVENT_TABLES && stream->bytes < event_bytes)
		return;
	attempt_event(copy->clone->attempt, EVENT_INFO, "table_done",
		json_pack("{s:s, s:I, s:I, s:I, s:I}", "table", piece_name(copy, stream), "piece",
			(json_int_t)row_i64(copy->pieces, stream->piece, "number") + 1, "pieces",
			(json_int_t)pieces, "bytes", (json_int_t)stream->bytes, "ms",
			(json_int_t)(clock_boot_ms() - stream->begun_ms)),
		"%s: %" PRId64 " bytes%s", piece_name(copy, stream), stream->bytes,
		pieces > 1 ? ", a piece of it" : "");
}

static bool source_hung_up(const struct copy *copy, const struct stream *stream, struct err *e)
{
	return err_code(e, ERR_TRANSIENT, "no_connection",
		"copying table %s: source: the server closed the connection",
		piece_name(copy, stream));
}

/*
 * `source`, `staging`: what poll() said of them. The staging database says nothing while it copies,
 * unless the copy has failed. A source that nobody reads from, since the other side is full, can
 * only have hung up.
 */
static bool stream_step(
	struct copy *copy, struct stream *stream, short source, short staging, struct err *e)
{
	if (stream->stage == STAGE_START) {
		if (!both(copy, stream, PGRES_COPY_OUT, PGRES_COPY_IN, e))
			return false;
		if (!stream->source_ok || !stream->staging_ok)
			return true;
		stream->stage = STAGE_MOVE;
		stream->source_ok = stream->staging_ok = false;
	} else if (stream->stage == STAGE_MOVE && (staging & (POLLIN | HUNG_UP))) {
		return stream_end(copy, stream, "the copy was broken off", e);
	} else if (stream->stage == STAGE_MOVE && stream->is_full && (source & HUNG_UP)) {
		return source_hung_up(copy, stream, e);
	}
	if (stream->stage == STAGE_MOVE && !stream_move(copy, stream, e))
		return false;
	if (stream->stage != STAGE_END)
		return true;
	if (!both(copy, stream, PGRES_EMPTY_QUERY, PGRES_EMPTY_QUERY, e))
		return false;
	if (!stream->source_ok || !stream->staging_ok)
		return true;
	stream_finish(copy, stream);
	return !FAULT_FAILS("clone_copies", "answered", PQsocket(stream->lane->staging.pg), e);
}

static bool may_start(const struct copy *copy)
{
	if (copy->next == PQntuples(copy->pieces) || copy->is_alone)
		return false;
	return copy->next == copy->done || !row_bool(copy->pieces, copy->next, "is_alone");
}

static struct pollfd watch_side(const struct conn *conn, bool is_wanted, short events)
{
	return (struct pollfd){.fd = is_wanted ? PQsocket(conn->pg) : -1, .events = events};
}

/* Two descriptors per lane and the snapshot's session; true when somebody need not wait. */
static bool watch(const struct copy *copy, struct pollfd *fds)
{
	bool is_due = false;

	for (int i = 0; i < copy->count; i++) {
		const struct stream *stream = &copy->streams[i];
		bool is_busy = stream->stage != STAGE_IDLE;

		fds[2 * i] = watch_side(&stream->lane->source, is_busy && !stream->source_ok,
			stream->stage == STAGE_MOVE && stream->is_full ? POLLRDHUP : POLLIN);
		fds[2 * i + 1] = watch_side(&stream->lane->staging, is_busy && !stream->staging_ok,
			stream->is_full ? POLLIN | POLLOUT : POLLIN);
		is_due = is_due || (stream->stage == STAGE_MOVE && stream->has_more);
	}
	fds[2 * copy->count] = watch_side(&copy->clone->source.conn, true, POLLIN);
	return is_due;
}

static bool start_idle(struct copy *copy, struct err *e)
{
	for (int i = 0; i < copy->count; i++)
		if (copy->streams[i].stage == STAGE_IDLE && may_start(copy) &&
			!stream_start(copy, &copy->streams[i], e))
			return false;
	return true;
}

static bool step_all(struct copy *copy, const struct pollfd *fds, struct err *e)
{
	for (int i = 0; i < copy->count; i++)
		if (!stream_step(
			    copy, &copy->streams[i], fds[2 * i].revents, fds[2 * i + 1].revents, e))
			return false;
	return true;
}

static bool run(struct copy *copy, struct pollfd *fds, struct err *e)
{
	struct clone *clone = copy->clone;

	while (copy->done < PQntuples(copy->pieces)) {
		bool is_due;
		int ready;

		if (!start_idle(copy, e))
			return false;
		is_due = watch(copy, fds);
		if (!attempt_wait(clone->attempt, fds, 2 * copy->count + 1,
			    is_due ? 0 : PROGRESS_LOOK_MS, &ready, e) ||
			!step_all(copy, fds, e) || !endpoint_is_there(&clone->source, e) ||
			!progress_look(clone, e))
			return false;
		progress_piped(clone);
	}
	return true;
}

bool copy_tables(struct clone *clone, struct lanes *lanes, struct err *e)
{
	struct copy copy CLEANUP(copy_clear) = {.clone = clone, .count = lanes->count};
	struct pollfd *fds CLEANUP(free_ptr) = xcalloc(2 * (size_t)lanes->count + 1, sizeof(*fds));

	copy.streams = xcalloc((size_t)lanes->count, sizeof(*copy.streams));
	for (int i = 0; i < lanes->count; i++)
		copy.streams[i].lane = &lanes->rows[i];
	return read_pieces(&copy, e) && run(&copy, fds, e);
}
