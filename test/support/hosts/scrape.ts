import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import type { Host } from '../../../src/lab/host.js'
import { ok } from './lab.js'

export interface Got {
  readonly status: number
  readonly type: string
  readonly body: string
}

const FETCH = `
const [accept, ...urls] = process.argv.slice(1)
const get = async (url) => {
  const response = await fetch(url, { headers: { accept } })
  return { status: response.status, type: response.headers.get('content-type'), body: await response.text() }
}
const all = []
for (const url of urls) all.push(await get(url))
process.stdout.write(JSON.stringify(all))
`

/** What a program in a host gets from URLs. */
export async function getAll(host: Host, urls: readonly string[], accept = '*/*'): Promise<Got[]> {
  const node = [process.execPath, '--input-type=module', '-e', FETCH, accept, ...urls] as const
  return JSON.parse(await ok(host, ...node))
}

export async function get(host: Host, url: string, accept?: string): Promise<Got> {
  const [got] = await getAll(host, [url], accept)
  return got
}

/** What comes from a Unix socket. All hosts share the files. */
export function getFrom(socketPath: string, path: string): Promise<Got> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, agent: false }, async (response) => {
      let body = ''
      for await (const chunk of response.setEncoding('utf8')) body += chunk
      resolve({ status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', body })
    })
    asked.on('error', reject).end()
  })
}

export const DASHBOARD_FILE = 'docs/grafana/udptun-fast.json'

/** Every query of the dashboard, as Grafana sends it when all tunnels and peers are chosen. */
export function dashboardQueries(): string[] {
  const { panels, templating } = JSON.parse(readFileSync(DASHBOARD_FILE, 'utf8'))
  const targets = panels.flatMap((panel: { targets?: { expr: string }[] }) => panel.targets ?? [])
  const variables = templating.list.flatMap(({ definition }: { definition?: string }) => definition ?? [])
  return [
    ...targets.map(({ expr }: { expr: string }) => expr),
    ...variables.map((it: string) => it.replace(/^label_values\((.*), \w+\)$/, '$1')),
  ].map((it) => it.replaceAll(/\$(instance|peer)\b/g, '.*').replaceAll('$__rate_interval', '1m'))
}
