import { expect, test } from 'vitest'
import { inject } from 'vitest'
import { openTestDatabase } from './database.ts'

test('each test has an empty database on the major it asked for', async () => {
  await using database = await openTestDatabase()

  const { rows } = await database.superuser.query<{ version: number }>(
    "select current_setting('server_version_num')::int / 10000 as version",
  )

  expect(rows).toEqual([{ version: inject('major') }])
})
