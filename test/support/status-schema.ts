import { Ajv, type ValidateFunction } from 'ajv'
import { readStatusSchema, type Schema } from './status-sample.js'

/**
 * Checks a value against docs/status.schema.json, more strictly than other programs do: a field that the schema does not
 * know is a mistake here.
 * @param definition a part of the schema, by its name
 * @returns what is wrong
 */
export function statusMistakes(value: unknown, definition?: string): string[] {
  const validate = validatorOf(definition)
  return validate(value)
    ? []
    : (validate.errors ?? []).map(
        ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`,
      )
}

const validators = new Map<string | undefined, ValidateFunction>()

function validatorOf(definition: string | undefined): ValidateFunction {
  const known = validators.get(definition)
  if (known !== undefined) return known
  const whole = strictly(readStatusSchema())
  const { definitions } = whole
  const schema = definition === undefined ? whole : { ...definitions?.[definition], definitions }
  const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(schema)
  validators.set(definition, validate)
  return validate
}

/** A schema that allows no further fields, at any depth. */
function strictly(schema: Schema): Schema {
  return JSON.parse(JSON.stringify(schema), (_key, value) =>
    value?.type === 'object' && value.properties !== undefined
      ? { ...value, additionalProperties: false }
      : value,
  )
}
