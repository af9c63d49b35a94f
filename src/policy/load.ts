import { constants } from 'node:fs'
import { open, readdir, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { Parsed, Problem } from '../base/problem.ts'
import { MOST_FILE_BYTES, parsePolicies } from './parse.ts'
import type { PolicyFileText } from './parse.ts'
import type { PolicySet } from './policy.ts'
import { loadGrammar } from './sql-grammar.ts'

/**
 * Loads the *.yaml and *.yml files of a folder, not of the folders in it. Files whose name begins
 * with a dot are left alone: editors put their locks there. A link may lead to another place of the
 * same folder, as a mounted Kubernetes ConfigMap does, but not out of it.
 */
export async function loadPolicies(folder: string): Promise<Parsed<PolicySet>> {
  const listed = await listFiles(folder)
  if (listed.value === undefined) return listed
  const files = await Promise.all(listed.value.map((name) => readPolicyFile(folder, name)))
  const unread = files.flatMap((file) => file.problems ?? [])
  const texts = files.flatMap((file) => (file.value === undefined ? [] : [file.value]))
  await loadGrammar(texts.map(({ text }) => text))
  const parsed = texts.length > 0 ? parsePolicies(texts) : { problems: [] }
  if (unread.length === 0) return parsed
  return { problems: [...unread, ...(parsed.problems ?? [])] }
}

/** The paths of the files that `loadPolicies` would read. */
export async function policyFiles(folder: string): Promise<readonly string[]> {
  const { value: names = [] } = await listFiles(folder)
  return names.map((name) => join(folder, name))
}

async function listFiles(folder: string): Promise<Parsed<readonly string[]>> {
  let names: readonly string[]
  try {
    names = await readdir(folder)
  } catch (error) {
    const reason = reasonOf(error)
    const message = `the folder of policies can't be read: ${reason}`
    const remedy = 'name the folder that holds the *.yaml files'
    return { problems: [fileProblem(folder, 'policies_unreadable', message, remedy)] }
  }
  const policies = names.filter((name) => /^[^.].*\.ya?ml$/is.test(name)).toSorted()
  if (policies.length > 0) return { value: policies }
  const message = 'there is no policy in this folder'
  const remedy = 'write one as *.yaml; docs/policy.md has examples'
  return { problems: [fileProblem(folder, 'policies_missing', message, remedy)] }
}

async function readPolicyFile(folder: string, name: string): Promise<Parsed<PolicyFileText>> {
  const file = join(folder, name)
  const refuse = (code: string, message: string, remedy: string): Parsed<PolicyFileText> => {
    return { problems: [fileProblem(file, code, message, remedy)] }
  }
  let bytes: Buffer
  try {
    const [home, real] = await Promise.all([realpath(folder), realpath(file)])
    if (!real.startsWith(home.endsWith(sep) ? home : `${home}${sep}`)) {
      const remedy = 'copy the file into the folder'
      return refuse('file_outside_folder', 'this link leads out of the policy folder', remedy)
    }
    // The resolved path may not be a link by now; not blocking, because a FIFO would wait for ever.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
    await using handle = await open(real, flags)
    if (!(await handle.stat()).isFile()) {
      return refuse('file_not_regular', 'this is not a regular file', 'move it out of the folder')
    }
    // One more byte than allowed tells that there is more; the size of a file may be a lie.
    const buffer = Buffer.alloc(MOST_FILE_BYTES + 1)
    let length = 0
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = (await handle.read(buffer, length, buffer.length - length, null)).bytesRead
    }
    bytes = buffer.subarray(0, length)
  } catch (error) {
    return refuse('file_unreadable', `this file can't be read: ${reasonOf(error)}`, 'check it')
  }
  if (bytes.length > MOST_FILE_BYTES) {
    return refuse('file_too_large', 'a policy file is at most 1 MiB', 'split it into several')
  }
  const text = decode(bytes)
  if (text !== undefined) return { value: { file, text } }
  return refuse('not_text', 'this file is not UTF-8 text', 'save it as UTF-8')
}

function decode(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    if (error instanceof TypeError) return undefined
    throw error
  }
}

/** Names a failure of the file system by its code: its message would repeat the path. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT') return 'it does not exist'
  if (code === 'ENOTDIR') return 'it is not a folder'
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied'
  if (typeof code === 'string') return code
  throw error
}

function fileProblem(at: string, code: string, message: string, remedy: string): Problem {
  return { code, at, path: '', message, remedy }
}
