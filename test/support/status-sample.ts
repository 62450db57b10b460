import { readFileSync } from 'node:fs'
import type { Health } from '../../src/control/health.js'
import type { StatusReport } from '../../src/control/status.js'

/** What the schema of a status says of one value, as far as it is used there. */
export interface Schema {
  readonly type?: string | readonly string[]
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly $ref?: string
  readonly items?: Schema
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly definitions?: Readonly<Record<string, Schema>>
}

export const STATUS_SCHEMA_FILE = 'docs/status.schema.json'

export function readStatusSchema(): Schema {
  return JSON.parse(readFileSync(STATUS_SCHEMA_FILE, 'utf8'))
}

export const HEALTHY: Health = {
  healthy: true,
  reasons: [],
  device_up: true,
  workers: { tap: true, udp: true },
}

/** A status with every field, in which each number is another one: 1001, 1002, 1003 … */
export function sampleStatus(): StatusReport {
  const whole = readStatusSchema()
  let number = 1_000
  const make = (schema: Schema): unknown => {
    if (schema.$ref !== undefined) return make(whole.definitions?.[schema.$ref.replace(/.*\//, '')] ?? {})
    if (schema.anyOf !== undefined) return make(schema.anyOf[0])
    if (schema.const !== undefined) return schema.const
    if (schema.enum !== undefined) return schema.enum[0]
    switch ([schema.type].flat()[0]) {
      case 'object':
        return Object.fromEntries(
          Object.entries(schema.properties ?? {}).map(([key, inner]) => [key, make(inner)]),
        )
      case 'array':
        return [make(schema.items ?? {})]
      case 'string':
        return `text ${++number}`
      case 'boolean':
        return true
      case 'integer':
      case 'number':
        return ++number
      default:
        throw new Error(`this schema says nothing: ${JSON.stringify(schema)}`)
    }
  }
  return make(whole) as StatusReport
}

/** Every number in a value, with its path, such as `rings.inbound.bytes`. */
export function numbersIn(value: unknown, path = ''): [path: string, number: number][] {
  if (typeof value === 'number') return [[path, value]]
  if (value === null || typeof value !== 'object') return []
  return Object.entries(value).flatMap(([key, inner]) =>
    numbersIn(inner, path === '' ? key : `${path}.${key}`),
  )
}
