/**
 * A checker for the part of JSON Schema that bench/compare/results.schema.json uses. It throws on keywords it
 * does not know, so that nothing in the schema goes unchecked.
 */

export interface Schema {
  [keyword: string]: unknown;
}

const ANNOTATIONS = new Set(['$schema', 'title', 'description', '$defs']);

function typeOf(value: unknown): string[] {
  if (value === null) return ['null'];
  if (Array.isArray(value)) return ['array'];
  if (typeof value === 'number') return Number.isInteger(value) ? ['integer', 'number'] : ['number'];
  return [typeof value];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What is wrong with a value, as lines that name the place; none when it is valid. */
export function schemaErrors(root: Schema, value: unknown): string[] {
  const defs = (root.$defs ?? {}) as Record<string, Schema>;

  const properties = (schema: Schema, found: unknown, at: string): string[] => {
    if (!isRecord(found)) return [];
    const known = (schema.properties ?? {}) as Record<string, Schema>;
    const missing = ((schema.required ?? []) as string[]).filter((name) => !(name in found));
    return [
      ...missing.map((name) => `${at}: ${name} is missing`),
      ...Object.entries(found).flatMap(([name, inner]) => {
        const own = known[name];
        if (own !== undefined) return check(own, inner, `${at}.${name}`);
        return schema.additionalProperties === false ? [`${at}: ${name} is not known`] : [];
      }),
    ];
  };

  const keywords: Record<
    string,
    (argument: unknown, found: unknown, at: string, schema: Schema) => string[]
  > = {
    $ref: (name, found, at) => {
      const target = defs[String(name).replace('#/$defs/', '')];
      if (target === undefined) throw new Error(`the schema has no ${String(name)}`);
      return check(target, found, at);
    },
    type: (types, found, at) =>
      typeOf(found).some((type) => [types].flat().includes(type)) ? [] : [`${at} is no ${String(types)}`],
    enum: (values, found, at) => ((values as unknown[]).includes(found) ? [] : [`${at} is ${String(found)}`]),
    const: (wanted, found, at) => (found === wanted ? [] : [`${at} is not ${String(wanted)}`]),
    minimum: (low, found, at) =>
      typeof found === 'number' && found < (low as number) ? [`${at} is below ${String(low)}`] : [],
    anyOf: (schemas, found, at) => {
      const results = (schemas as Schema[]).map((schema) => check(schema, found, at));
      return results.some((errors) => errors.length === 0) ? [] : (results[0] ?? []);
    },
    items: (schema, found, at) =>
      Array.isArray(found) ? found.flatMap((item, i) => check(schema as Schema, item, `${at}[${i}]`)) : [],
    properties: (_, found, at, schema) => properties(schema, found, at),
    required: () => [], // with properties
    additionalProperties: () => [], // with properties
  };

  const check = (schema: Schema, found: unknown, at: string): string[] =>
    Object.entries(schema).flatMap(([keyword, argument]) => {
      if (ANNOTATIONS.has(keyword)) return [];
      const rule = keywords[keyword];
      if (rule === undefined) throw new Error(`${at}: the keyword ${keyword} is not known here`);
      return rule(argument, found, at, schema);
    });

  return check(root, value, '$');
}
