/** The file that says where checkpoints go (docs/operating.md, Sinks). */
import { resolve, dirname } from 'node:path'
import { z } from 'zod'
import { execSink } from '../anchor/exec-sink.ts'
import { fileSink } from '../anchor/file-sink.ts'
import { s3Sink } from '../anchor/s3-sink.ts'
import type { Sink } from '../anchor/sink.ts'
import { witnessSink } from '../anchor/witness-sink.ts'
import type { Clock } from '../base/clock.ts'
import { ConfigError } from '../base/errors.ts'
import { readSecretLine } from '../journal/key-file.ts'
import { parseVerifierKey } from '../journal/note.ts'
import { policyText } from '../policy/text.ts'
import { readYaml } from '../policy/yaml.ts'

export type Anchors = {
  readonly sinks: readonly Sink[]
  readonly quorum: number
  readonly maxLagMs: number
}

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'small letters, digits and hyphens')
const common = { name, required: z.boolean().default(true) }
const url = z.string().regex(/^https?:\/\/[^\s?#@]+$/, 'an http or https URL without a password')
const hours = z.string().regex(/^\d{1,5} (hour|day)s?$/, 'as 24 hours, or 2 days')

const sinkDocument = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('file'),
    ...common,
    folder: z.string().min(1),
    evidence: z.boolean().default(false),
  }),
  z.strictObject({
    kind: z.literal('s3'),
    ...common,
    endpoint: url,
    region: z.string().min(1),
    bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,62}$/, 'the name of a bucket'),
    prefix: z
      .string()
      .regex(/^([\w.-]+\/)*$/, 'folders, each with a slash behind it')
      .default(''),
    retain_days: z.int().min(1).max(36_500),
    evidence: z.boolean().default(false),
    access_key_id: z.string().min(1),
    secret_key_file: z.string().min(1),
  }),
  z.strictObject({ kind: z.literal('witness'), ...common, url, key: z.string() }),
  z.strictObject({
    kind: z.literal('exec'),
    ...common,
    command: z.array(z.string()).min(1),
    timeout_seconds: z.int().min(1).max(600).default(60),
  }),
])

const document = z.strictObject({
  max_lag: hours.default('24 hours'),
  quorum: z.int().min(1).default(1),
  sinks: z.array(sinkDocument).min(1),
})

type SinkDocument = z.infer<typeof sinkDocument>

/** Reads the file and opens its sinks; nothing outside is asked yet. */
export async function readAnchors(path: string, text: string, clock: Clock): Promise<Anchors> {
  const { max_lag: lag, quorum, sinks } = parse(path, text)
  const names = sinks.map((sink) => sink.name)
  if (new Set(names).size < names.length) throw wrong(path, 'sinks: two of them have one name')
  const required = sinks.filter((sink) => sink.required).length
  if (quorum > Math.max(required, 1)) {
    throw wrong(path, `quorum: is ${quorum}, and ${required} sinks are required`)
  }
  const opened: Sink[] = []
  for (const sink of sinks) opened.push(await open(path, sink, clock))
  const [count = '', unit = ''] = lag.split(' ')
  const maxLagMs = Number(count) * (unit.startsWith('day') ? 24 : 1) * 3_600_000
  return { sinks: opened, quorum, maxLagMs }
}

function parse(path: string, text: string): z.infer<typeof document> {
  const { value, problems } = readYaml(policyText(path, text))
  const [problem] = problems ?? value.refused
  if (problem !== undefined) {
    throw new ConfigError(`${problem.at}: ${problem.message}`, { remedy: REMEDY })
  }
  const parsed = document.safeParse(value?.value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  if (issue?.code === 'unrecognized_keys') {
    const where = issue.path.join('.') || 'the file'
    throw wrong(path, `${where}: there is no key ${issue.keys.join(', ')} here`)
  }
  throw wrong(path, `${issue?.path.join('.') || 'the file'}: ${issue?.message ?? 'is wrong'}`)
}

async function open(path: string, sink: SinkDocument, clock: Clock): Promise<Sink> {
  const beside = (file: string) => resolve(dirname(path), file)
  switch (sink.kind) {
    case 'file':
      return fileSink({ ...sink, folder: beside(sink.folder) })
    case 'exec':
      return execSink({ ...sink, timeoutMs: sink.timeout_seconds * 1000 })
    case 's3': {
      const { retain_days: retainDays, access_key_id: accessKeyId } = sink
      const secretKey = await readSecretLine(beside(sink.secret_key_file))
      const endpoint = sink.endpoint.replace(/\/$/, '')
      return s3Sink({ ...sink, endpoint, retainDays, accessKeyId, secretKey, clock })
    }
    case 'witness': {
      const key = parseVerifierKey(sink.key)
      if (key?.algorithm !== 'cosignature') {
        throw wrong(path, `sink ${sink.name}: key is not the verifier key of a witness`)
      }
      return witnessSink({ ...sink, url: sink.url.replace(/\/$/, ''), key })
    }
    default:
      return sink satisfies never
  }
}

const REMEDY = 'see docs/operating.md, Sinks'

function wrong(path: string, what: string): ConfigError {
  return new ConfigError(`${path}: ${what}`, { remedy: REMEDY })
}
