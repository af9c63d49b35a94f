/**
 * A bucket with Object Lock, as far as the sink needs one. It computes every signature again from the
 * request as it came over the wire, so a request that it accepts was signed as the service wants it.
 */
import { createHash, createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type S3Object = {
  readonly bytes: Buffer
  readonly mode: string | undefined
  readonly until: string | undefined
}

export interface S3Server extends AsyncDisposable {
  readonly endpoint: string
  readonly objects: Map<string, S3Object>
  /** Answers the next requests with this status; null: as a bucket does. */
  failing: number | null
  /** Takes objects and forgets to lock them. */
  forgetful: boolean
}

export const S3_KEY = { accessKeyId: 'AKIDEXAMPLE', secretKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCY' }
const REGION = 'eu-west-3'
/** Keys of one page of a list: few, so that a test meets the second page. */
const PAGE = 2

export async function openS3Server(): Promise<S3Server> {
  const objects = new Map<string, S3Object>()
  const bucket = { failing: null as number | null, forgetful: false }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => answer({ request, response, body: Buffer.concat(chunks) }))
  })
  const answer = ({ request, response, body }: Exchange): void => {
    if (bucket.failing !== null) return refuse(response, bucket.failing, 'SlowDown')
    if (!isSigned(request, body)) return refuse(response, 403, 'SignatureDoesNotMatch')
    const url = new URL(request.url ?? '', 'http://s3')
    const key = decodeURIComponent(url.pathname.replace(/^\/[^/]+\/?/, ''))
    if (request.method === 'PUT') return put({ request, response, body }, key)
    if (url.searchParams.get('list-type') === '2') return list(url, response)
    const found = objects.get(key)
    if (found === undefined) return refuse(response, 404, 'NoSuchKey')
    if (found.mode !== undefined) response.setHeader('x-amz-object-lock-mode', found.mode)
    if (found.until !== undefined) {
      response.setHeader('x-amz-object-lock-retain-until-date', found.until)
    }
    response.setHeader('x-amz-version-id', 'v1')
    response.end(request.method === 'HEAD' ? '' : found.bytes)
  }
  const put = ({ request, response, body }: Exchange, key: string): void => {
    const { headers } = request
    if (headers['x-amz-checksum-sha256'] !== createHash('sha256').update(body).digest('base64')) {
      return refuse(response, 400, 'BadDigest')
    }
    if (headers['if-none-match'] === '*' && objects.has(key)) {
      return refuse(response, 412, 'PreconditionFailed')
    }
    const asked = (name: string) => (bucket.forgetful ? undefined : String(headers[name]))
    objects.set(key, {
      bytes: body,
      mode: asked('x-amz-object-lock-mode'),
      until: asked('x-amz-object-lock-retain-until-date'),
    })
    response.end()
  }
  const list = (url: URL, response: ServerResponse): void => {
    const prefix = url.searchParams.get('prefix') ?? ''
    const from = Number(url.searchParams.get('continuation-token') ?? 0)
    const keys = [...objects.keys()].filter((key) => key.startsWith(prefix)).toSorted()
    const page = keys
      .slice(from, from + PAGE)
      .map((key) => `<Contents><Key>${key}</Key></Contents>`)
    const more =
      from + PAGE < keys.length
        ? `<NextContinuationToken>${from + PAGE}</NextContinuationToken>`
        : ''
    response.end(`<ListBucketResult>${page.join('')}${more}</ListBucketResult>`)
  }
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return Object.assign(bucket, {
    endpoint: `http://127.0.0.1:${port}`,
    objects,
    [Symbol.asyncDispose]: async () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  })
}

type Exchange = {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly body: Buffer
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.statusCode = status
  response.end(`<Error><Code>${code}</Code><Message>${S3_KEY.secretKey}</Message></Error>`)
}

/** Signature Version 4, from its description; nothing of the client is used. */
function isSigned({ method, url = '', headers }: IncomingMessage, body: Buffer): boolean {
  const [, credential = '', names = '', signature] =
    /^AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    ) ?? []
  const digest = createHash('sha256').update(body).digest('hex')
  const [path = '', query = ''] = url.split('?')
  const at = String(headers['x-amz-date'])
  const day = at.slice(0, 8)
  if (credential !== `${S3_KEY.accessKeyId}/${day}/${REGION}/s3/aws4_request`) return false
  if (headers['x-amz-content-sha256'] !== digest) return false
  const lines = names.split(';').map((name) => `${name}:${String(headers[name]).trim()}\n`)
  const sorted = query.split('&').toSorted().join('&').replaceAll('+', '%20')
  const canonical = [method, path, sorted, lines.join(''), names, digest].join('\n')
  const scope = `${day}/${REGION}/s3/aws4_request`
  const hashed = createHash('sha256').update(canonical).digest('hex')
  const text = ['AWS4-HMAC-SHA256', at, scope, hashed].join('\n')
  const key = [day, REGION, 's3', 'aws4_request'].reduce<Buffer | string>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    `AWS4${S3_KEY.secretKey}`,
  )
  return createHmac('sha256', key).update(text).digest('hex') === signature
}
