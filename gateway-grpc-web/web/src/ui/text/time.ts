/**
 * Times as people read them, in their own language and time zone. Formatters are made once: making
 * one costs more than using it a hundred times.
 */
import { strings } from "../strings";

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long" });
const shortWeekday = new Intl.DateTimeFormat(undefined, { weekday: "short" });
const dayAndMonth = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long" });
const shortDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const fullDay = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const numericDay = new Intl.DateTimeFormat(undefined, { dateStyle: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });

const DAY_MS = 24 * 60 * 60 * 1000;

function startOfDay(time: Date): number {
  return new Date(time.getFullYear(), time.getMonth(), time.getDate()).getTime();
}

/** How many midnights lie between the two. */
function daysBefore(time: Date, now: Date): number {
  return Math.round((startOfDay(now) - startOfDay(time)) / DAY_MS);
}

/** Whether two messages belong under one day divider. */
export function isSameDay(one: Date, other: Date): boolean {
  return startOfDay(one) === startOfDay(other);
}

/** The hour and minute. */
export function clockTime(time: Date): string {
  return clock.format(time);
}

/** The whole date and time, for a tooltip. */
export function exactTime(time: Date): string {
  return exact.format(time);
}

/** A day divider: today, yesterday, a weekday within six days, else the date. */
export function dayName(time: Date, now: Date): string {
  const days = daysBefore(time, now);
  if (days === 0) return strings.today;
  if (days === 1) return strings.yesterday;
  if (days > 1 && days < 7) return weekday.format(time);
  return time.getFullYear() === now.getFullYear() ? dayAndMonth.format(time) : fullDay.format(time);
}

/** The shortest that is still clear, for a list: the time today, else a day. */
export function listTime(time: Date, now: Date): string {
  const days = daysBefore(time, now);
  if (days <= 0) return clock.format(time);
  if (days === 1) return strings.yesterday;
  if (days < 7) return shortWeekday.format(time);
  return time.getFullYear() === now.getFullYear() ? shortDay.format(time) : numericDay.format(time);
}

/** When somebody was here last. */
export function lastSeen(time: Date, now: Date): string {
  const minutes = Math.floor((now.getTime() - time.getTime()) / 60_000);
  if (minutes < 1) return strings.lastSeenNow;
  if (minutes < 60) return strings.lastSeenMinutes(minutes);
  if (daysBefore(time, now) === 0) return strings.lastSeenAt(clock.format(time));
  return strings.lastSeenAt(listTime(time, now));
}
