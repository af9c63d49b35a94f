/** Words that PostgreSQL reads as a day that is another one tomorrow. */
const MOVING_DAY = /(?<!\p{L})(?:now|today|tomorrow|yesterday)(?!\p{L})/iu

/** True of text that, read as a date or a time, is another one tomorrow. */
export function tellsMovingDay(text: string): boolean {
  return MOVING_DAY.test(text)
}
