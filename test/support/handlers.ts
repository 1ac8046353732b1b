/** The handler modules in test/support/handlers/. */
import { fileURLToPath } from 'node:url';

/** The absolute path of one; `name` may have an export. */
export function handlerFile(name: string): string {
  return fileURLToPath(new URL('handlers/', import.meta.url)) + name;
}
