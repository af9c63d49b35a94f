import type { Chance } from './chance.ts'
import { FIRST_ID, type Client } from './crowd.ts'
import type { Row, Rows } from './rows.ts'

const SUBJECTS = [
  'Export impossible',
  'Mot de passe perdu',
  'Facture en double',
  'Lenteur depuis ce matin',
  'Import d’un fichier CSV',
  'Droits d’un nouvel utilisateur',
]

const QUESTIONS = [
  'le bouton ne répond plus depuis la mise à jour.',
  'je ne retrouve plus mon mot de passe.',
  'la page reste blanche après la connexion.',
  'pouvez-vous ajouter un accès pour une collègue ?',
  'le total de la facture ne correspond pas au devis.',
]

const ANSWERS = [
  'Nous avons reproduit le problème et le corrigeons.',
  'Pouvez-vous nous envoyer une capture d’écran ?',
  'C’est corrigé dans la version de ce matin.',
  'Un lien vient de vous être envoyé.',
  'Merci de vider le cache, puis de recommencer.',
]

/** Invents tickets of the customers with a contract, with what was written and attached. */
export function inventSupport(chance: Chance, clients: readonly Client[]): Partial<Rows> {
  const threads = inventThreads(chance, clients)
  const messages = threads.flatMap((thread) => inventMessages(chance, thread))
  const numbered = messages.map((message, index) => ({ id: FIRST_ID + index, ...message }))
  return {
    'support.ticket': threads.map(({ row }) => row),
    'support.message': numbered,
    'support.attachment': numbered
      .filter(() => chance.faker.number.int(9) === 0)
      .map(({ id }) => ({
        message_id: id,
        position: 1,
        file_name: `capture-${id}.png`,
        size_bytes: chance.faker.number.int({ min: 10_000, max: 900_000 }),
      })),
  }
}

type Thread = {
  readonly row: Row & { readonly id: number }
  readonly author: string
  readonly openedAgo: number
  readonly closedAgo: number
}

function inventThreads(chance: Chance, clients: readonly Client[]): readonly Thread[] {
  const { faker } = chance
  const askers = clients.flatMap((client) =>
    client.contracts.length === 0
      ? []
      : Array.from({ length: faker.number.int({ min: 0, max: 3 }) }, () => client),
  )
  return askers.map(({ row: customer, contracts }, index) => {
    const startedAgo = contracts.at(-1)?.startedAgo ?? 1
    const openedAgo = faker.number.int({
      min: Math.max(contracts[0]?.endedAgo ?? 1, 1),
      max: startedAgo,
    })
    const closedAgo = Math.max(1, openedAgo - faker.number.int(20))
    const isOpen = openedAgo < 30 && faker.number.int(1) === 0
    const row = {
      id: FIRST_ID + index,
      customer_id: customer.id,
      opened_at: chance.instantAgo(openedAgo + 1),
      closed_at: isOpen ? null : chance.instantAgo(closedAgo),
      status: isOpen ? 'open' : 'closed',
      subject: faker.helpers.arrayElement(SUBJECTS),
    }
    return { row, author: customer.full_name, openedAgo, closedAgo }
  })
}

function inventMessages(chance: Chance, thread: Thread): readonly Row[] {
  const { faker, instantAgo } = chance
  const { author, openedAgo, closedAgo } = thread
  return Array.from({ length: faker.number.int({ min: 3, max: 9 }) }, (_, turn) => ({
    ticket_id: thread.row.id,
    author: turn % 2 === 0 ? author : 'Support',
    sent_at: instantAgo(faker.number.int({ min: closedAgo, max: openedAgo })),
    body:
      turn % 2 === 0
        ? `Bonjour, ici ${author} : ${faker.helpers.arrayElement(QUESTIONS)}`
        : faker.helpers.arrayElement(ANSWERS),
  }))
}
