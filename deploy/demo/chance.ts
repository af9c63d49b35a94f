import { Faker, base, en, fr } from '@faker-js/faker'

const DAY_MS = 86_400_000

/** Where the bulk of the demo comes from: invented people and days, the same for the same seed. */
export type Chance = {
  readonly faker: Faker
  /** The day (YYYY-MM-DD) that many days before today. */
  readonly dayAgo: (days: number) => string
  /** An instant of that day; `days` is 1 at least, so that no zone takes it for a later one. */
  readonly instantAgo: (days: number) => string
}

/** Binds a seed and a day; nothing else varies, not even with the clock or zone of the machine. */
export function openChance(today: string, seed: number): Chance {
  const faker = new Faker({ locale: [fr, en, base], seed })
  const midnight = Date.parse(`${today}T00:00:00Z`)
  return {
    faker,
    dayAgo: (days) => new Date(midnight - days * DAY_MS).toISOString().slice(0, 10),
    instantAgo: (days) =>
      new Date(midnight - days * DAY_MS + faker.number.int(DAY_MS - 1000)).toISOString(),
  }
}

/** Someone with an address that no mail reaches and a number that rings nowhere. */
export type Person = {
  readonly fullName: string
  readonly email: string
  readonly phone: string
  readonly company: string
  readonly position: string
}

/** Invents a person; `tag` makes the e-mail unique. */
export function inventPerson(faker: Faker, tag: string): Person {
  const first = faker.person.firstName()
  const last = faker.person.lastName()
  const company = faker.company.name()
  return {
    fullName: `${first} ${last}`,
    // RFC 2606 reserves `.example`.
    email: `${slug(first)}.${slug(last)}.${tag}@${slug(company)}.example`,
    // The French regulator reserves 06 39 98 xx xx for fiction.
    phone: `+33 6 39 98 ${faker.string.numeric(2)} ${faker.string.numeric(2)}`,
    company,
    position: faker.person.jobTitle(),
  }
}

/** Invents a postal address on one line. */
export function inventAddress(faker: Faker): string {
  const { location } = faker
  return `${location.streetAddress()}, ${location.zipCode()} ${location.city()}`
}

/** An address of the networks that RFC 5737 and RFC 3849 reserve for documentation. */
export function inventIp(faker: Faker): string {
  if (faker.number.int(9) === 0) return `2001:db8::${faker.number.int(0xff_ff).toString(16)}`
  const network = faker.number.int(1) === 0 ? '198.51.100' : '203.0.113'
  return `${network}.${faker.number.int({ min: 1, max: 254 })}`
}

function slug(text: string): string {
  return text
    .normalize('NFD')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '')
}
