// SPDX-License-Identifier: PostgreSQL
// What croner says about patterns and times, as the fixture that tests/sql/test_next_fire.py compares
// athena.next_fire() with: node croner.mjs FOLDER-OF-CRONER > next_fire.json.gz. The same croner and the
// same time zones write the same bytes; all times lie in the past, where zones do not change any more.
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";

const require = createRequire(resolve(process.argv[2], "package.json"));
const { Cron } = require("croner");
const { version } = require("./node_modules/croner/package.json");

const FROM = new Date("2014-01-01T00:00:00Z");
const TO = new Date("2024-01-01T00:00:00Z");

// Clocks that are set at one, two, midnight and a minute past, by half an hour, by two, for a month a year.
const ZONES = ["UTC", "Europe/London", "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "America/Havana",
	"America/Caracas", "Africa/Casablanca", "Asia/Tehran", "Australia/Lord_Howe", "Pacific/Apia", "Antarctica/Troll"];

const CRONS = ["30 2 * * *", "0 0 * * *", "30 1 * * *", "45 23 * * *", "*/30 0-3,23 * * *", "30 1,2 * * *", "0 12 13 * FRI",
	"0 9 15W * *", "0 9 L * *", "15 3 LW * *", "0 9 * * MON#1", "0 2 * * SUNL", "5 4 */2 * TUE-THU", "0 2 1-7 * +SUN",
	"0 0 29 2 *", "@hourly", "@weekly", "@monthly", "@yearly"];

const minutes = (date) => date.getTime() / 60000;

function fires(cron, timezone) {
	const job = new Cron(cron, { timezone, mode: "5-part" });
	const distances = [];
	let last = FROM;
	for (let next = job.nextRun(last); next && next < TO; next = job.nextRun(last)) {
		distances.push(minutes(next) - minutes(last));
		last = next;
	}
	return distances;
}

let state = 20140101;

function below(most) {
	state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
	return Math.floor((state / 2 ** 32) * most);
}

const pick = (list) => list[below(list.length)];

const FIELDS = [
	{ low: 0, high: 59, names: [] },
	{ low: 0, high: 23, names: [] },
	{ low: 1, high: 31, names: ["L", "LW", "15W", "1W", "31W"] },
	{ low: 1, high: 12, names: ["JAN", "feb", "Mar", "DEC", "MAY-AUG"] },
	{ low: 0, high: 7, names: ["SUN", "mon", "FRI-SUN", "SUN-TUE", "5#2", "MON#1", "FRIL", "5#L", "1-5#3", "+MON", "0L"] },
];

// A number that is nearly always in range.
const number = ({ low, high }) => low + below(high - low + 1) + (below(60) === 0 ? high : 0);

function item(field) {
	switch (below(7)) {
	case 0:
		return `*/${1 + below(field.high)}`;
	case 1: {
		const ends = [number(field), number(field)];
		return (below(12) ? ends.sort((a, b) => a - b) : ends).join("-");
	}
	case 2: {
		const ends = [number(field), number(field)].sort((a, b) => a - b);
		return `${ends.join("-")}/${below(6)}`;
	}
	case 3:
		return field.names.length ? pick(field.names) : `${number(field)}`;
	default:
		return `${number(field)}`;
	}
}

function field(row) {
	if (below(5) < 2)
		return below(12) ? "*" : "?";
	return Array.from({ length: 1 + (below(3) ? 0 : below(3)) }, () => item(row)).join(",");
}

// One of them in four is damaged.
function pattern() {
	let text = FIELDS.map(field).join(" ");
	if (below(4) === 0)
		for (let i = 0; i <= below(2); i++) {
			const at = below(text.length);
			text = text.slice(0, at) + pick([..."*,-/#LW+? 01579ab"]) + text.slice(at + below(2));
		}
	return text;
}

// The first three fires, fewer when it has fewer, or null for a pattern that is none.
function reading(text) {
	let job;
	try {
		job = new Cron(text, { timezone: "UTC", mode: "5-part" });
	} catch {
		return null;
	}
	return job.nextRuns(3, FROM).map(minutes);
}

const zones = Object.fromEntries(ZONES.map((zone) => [zone, Object.fromEntries(CRONS.map((cron) => [cron, fires(cron, zone)]))]));
const patterns = Object.fromEntries(Array.from({ length: 4000 }, pattern).map((text) => [text, reading(text)]));
process.stdout.write(gzipSync(JSON.stringify({ croner: version, from: minutes(FROM), zones, patterns }), { level: 9 }));
