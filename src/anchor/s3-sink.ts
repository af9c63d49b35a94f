/**
 * Checkpoints and segments as objects of a bucket with Object Lock in compliance mode: until their
 * day nobody can remove them, not even the owner of the account.
 */
import { createHash } from 'node:crypto'
import { AwsClient } from 'aws4fetch'
import type { Clock } from '../base/clock.ts'
import { SinkError } from '../base/errors.ts'
import type { KeptNote } from '../journal/verify-heads.ts'
import { ANSWER_MS, contradiction, filesOf, isSame, type Kept, type Sink } from './sink.ts'

export type S3SinkOptions = {
  readonly name: string
  readonly required: boolean
  /** Of the service; the bucket comes in the path. */
  readonly endpoint: string
  readonly region: string
  readonly bucket: string
  /** Ends with a slash, or is empty. */
  readonly prefix: string
  readonly retainDays: number
  readonly evidence: boolean
  readonly accessKeyId: string
  readonly secretKey: string
  readonly clock: Clock
}

export function s3Sink(options: S3SinkOptions): Sink {
  const bucket = bucketOf(options)
  return {
    name: options.name,
    required: options.required,
    accept: async (head, from, journal) => {
      let receipt: string | null = null
      for await (const kept of filesOf(head, from, journal, options.evidence)) {
        receipt = await keep(options, bucket, kept)
      }
      return { receipt }
    },
    newest: async () => {
      const key = (await checkpointKeys(options, bucket)).at(-1)
      return key === undefined ? null : (await bucket.get(key)).toString()
    },
    place: `s3://${options.bucket}/${options.prefix}`,
    notes: async () => {
      const notes: KeptNote[] = []
      for (const key of (await checkpointKeys(options, bucket)).slice(-MOST_NOTES)) {
        notes.push({ name: key, note: (await bucket.get(key)).toString() })
      }
      return notes
    },
  }
}

/** Notes that are read of a bucket: each is a request, and the newest covers those before it. */
const MOST_NOTES = 100

/** Puts an object that was not there, and sees that it is locked for as long as was asked. */
async function keep(
  { name, retainDays, clock, prefix }: S3SinkOptions,
  bucket: Bucket,
  { key, bytes }: Kept,
): Promise<string | null> {
  const until = new Date(clock.now().getTime() + retainDays * 86_400_000)
  const answer = await bucket.ask('PUT', prefix + key, {
    body: bytes,
    headers: {
      'content-type': 'application/octet-stream',
      'if-none-match': '*',
      'x-amz-checksum-sha256': createHash('sha256').update(bytes).digest('base64'),
      'x-amz-object-lock-mode': 'COMPLIANCE',
      'x-amz-object-lock-retain-until-date': until.toISOString(),
    },
  })
  if (answer.status === 412) {
    if (!isSame(key, await bucket.get(prefix + key), bytes)) throw contradiction(name, key)
    return null
  }
  if (answer.status !== 200) throw await refused(name, 'PUT', answer)
  const head = await bucket.ask('HEAD', prefix + key, {})
  if (head.status !== 200) throw await refused(name, 'HEAD', head)
  const lockedUntil = Date.parse(head.headers.get('x-amz-object-lock-retain-until-date') ?? '')
  const locked = head.headers.get('x-amz-object-lock-mode') === 'COMPLIANCE'
  // The service may keep whole seconds only.
  if (locked && lockedUntil >= until.getTime() - 1000) return head.headers.get('x-amz-version-id')
  throw new SinkError(`sink ${name}: the bucket took an object and did not lock it`, {
    remedy: 'create the bucket with Object Lock; without it a checkpoint there proves little',
  })
}

/** The keys of all checkpoints; the smallest size comes first. */
async function checkpointKeys(
  { name, prefix }: S3SinkOptions,
  bucket: Bucket,
): Promise<readonly string[]> {
  const folder = `${prefix}checkpoints/`
  const keys: string[] = []
  for (let next: string | null = ''; next !== null;) {
    const query = new URLSearchParams({ 'list-type': '2', prefix: folder })
    if (next !== '') query.set('continuation-token', next)
    const answer = await bucket.ask('GET', '', { query })
    if (answer.status !== 200) throw await refused(name, 'list', answer)
    const xml = await answer.text()
    for (const [, key = ''] of xml.matchAll(/<Key>([^<]*)<\/Key>/g)) {
      if (/^\d{12}$/.test(key.slice(-12))) keys.push(key)
    }
    next = /<NextContinuationToken>([^<]+)<\/NextContinuationToken>/.exec(xml)?.[1] ?? null
  }
  return keys.toSorted()
}

type Asked = {
  readonly body?: Buffer
  readonly headers?: Readonly<Record<string, string>>
  readonly query?: URLSearchParams
}

interface Bucket {
  ask(method: string, key: string, asked: Asked): Promise<Response>
  get(key: string): Promise<Buffer>
}

function bucketOf(options: S3SinkOptions): Bucket {
  const { name, endpoint, bucket, region, accessKeyId, secretKey, clock } = options
  // No retries of its own: those sleep.
  const client = new AwsClient({
    accessKeyId,
    secretAccessKey: secretKey,
    service: 's3',
    region,
    retries: 0,
  })
  const ask = async (method: string, key: string, { body, headers, query }: Asked) => {
    const path = [bucket, ...key.split('/')].map(encodeURIComponent).join('/')
    const search = query === undefined ? '' : `?${query.toString()}`
    const datetime = clock
      .now()
      .toISOString()
      .replaceAll(/[:-]|\.\d{3}/g, '')
    try {
      return await client.fetch(`${endpoint}/${path}${search}`, {
        method,
        headers: {
          ...headers,
          'x-amz-content-sha256': createHash('sha256')
            .update(body ?? '')
            .digest('hex'),
        },
        ...(body === undefined ? {} : { body: new Uint8Array(body) }),
        redirect: 'manual',
        signal: AbortSignal.timeout(ANSWER_MS),
        aws: { datetime },
      })
    } catch (error) {
      throw new SinkError(`sink ${name}: the service did not answer`, {
        cause: error,
        remedy: 'check endpoint and network',
      })
    }
  }
  return {
    ask,
    get: async (key) => {
      const answer = await ask('GET', key, {})
      if (answer.status !== 200) throw await refused(name, 'GET', answer)
      return Buffer.from(await answer.arrayBuffer())
    },
  }
}

/** Of an answer only its status and its word for it: the rest may quote what we sent. */
async function refused(name: string, what: string, answer: Response): Promise<SinkError> {
  const text = await answer.text().catch(() => '')
  const word = /<Code>([A-Za-z]{1,64})<\/Code>/.exec(text)?.[1]
  const said = word === undefined ? String(answer.status) : `${answer.status}, ${word}`
  return new SinkError(`sink ${name}: the service refused a ${what} (${said})`, {
    remedy:
      'the key needs s3:PutObject, s3:PutObjectRetention, s3:GetObject and s3:ListBucket on the prefix',
  })
}
