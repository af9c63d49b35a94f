import { readdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { MIGRATIONS } from '../../src/db/migrate.ts'

test('the program knows every migration it ships, and ships every one it knows', async () => {
  const files = await readdir(new URL('../../migrations', import.meta.url))

  expect(files.filter((file) => file.endsWith('.sql')).toSorted()).toEqual(
    MIGRATIONS.map((name) => `${name}.sql`),
  )
})
