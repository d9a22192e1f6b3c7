# SPDX-License-Identifier: PostgreSQL
"""Cron by looking at the clock on the wall, minute after minute: slow, and too simple to be wrong.

A pattern is its sets of numbers: minutes, hours, days of the month, months, weekdays (Sunday is 0).
None for a field that was `*`. It comes once a day if a single minute and a single hour are written
down as such. Time zones are Python's.
"""
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)  # what offsets from UTC have been multiples of for many years


@dataclass
class Pattern:
    minutes: set | None
    hours: set | None
    days: set | None
    months: set | None
    weekdays: set | None
    is_once_a_day: bool

    def has_day(self, day):
        if self.months is not None and day.month not in self.months:
            return False
        by_day = self.days is not None and day.day in self.days
        by_weekday = self.weekdays is not None and day.isoweekday() % 7 in self.weekdays
        return by_day or by_weekday or self.days is None and self.weekdays is None

    def has_time(self, at):
        return (self.hours is None or at.hour in self.hours) and (self.minutes is None or at.minute in self.minutes)


def next_by_the_wall(pattern, zone, after, until):
    """The first time after `after` at which the wall says what the pattern does."""
    at = after.replace(second=0, microsecond=0) + MINUTE
    while at <= until:
        local = at.astimezone(zone)
        if pattern.has_day(local) and (pattern.hours is None or local.hour in pattern.hours):
            if pattern.has_time(local):
                return at
            at += MINUTE
        else:
            at += QUARTER - timedelta(minutes=at.minute % 15)
    return None


def when_it_is(zone, local):
    """The first time at which the wall says so, or when it passes that by, and on which day it then is."""
    for fold in (0, 1):
        at = local.replace(tzinfo=zone, fold=fold).astimezone(timezone.utc)
        if at.astimezone(zone).replace(tzinfo=None) == local:
            return at
    at = local.replace(tzinfo=timezone.utc) - timedelta(days=1)
    while at.astimezone(zone).replace(tzinfo=None) < local:
        at += MINUTE
    return at


def next_once_a_day(pattern, zone, after, until):
    """What comes twice counts at the first; what does not come, when the clock has jumped, if that is the same day."""
    (hour,), (minute,) = pattern.hours, pattern.minutes
    day = after.astimezone(zone).date() - timedelta(days=1)
    while datetime(day.year, day.month, day.day, tzinfo=timezone.utc) <= until + timedelta(days=1):
        if pattern.has_day(day):
            at = when_it_is(zone, datetime(day.year, day.month, day.day, hour, minute))
            if at > after and at.astimezone(zone).date() == day:
                return at
        day += timedelta(days=1)
    return None


def next_fire(pattern, zone, after, until):
    """None when there is none until then."""
    at = (next_once_a_day if pattern.is_once_a_day else next_by_the_wall)(pattern, zone, after, until)
    return at if at and at <= until else None
