/** A database: stores the length of each request, and adds up those of its thread so far. Computes, and may sleep. */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { Handler } from 'kecho-pool/handler';

let database: DatabaseSync;
let insert: StatementSync;
let sum: StatementSync;

/** Once for each thread: connections to a database cannot be shared between threads. */
export function setUp(): void {
  database = new DatabaseSync(''); // a temporary file that SQLite deletes
  database.exec('CREATE TABLE request (client INTEGER, bytes INTEGER)');
  insert = database.prepare('INSERT INTO request VALUES (?, ?)');
  sum = database.prepare('SELECT sum(bytes) FROM (SELECT bytes FROM request ORDER BY rowid DESC LIMIT 5000)');
}

export function tearDown(): void {
  database.close();
}

const handle: Handler = (request, { id }) => {
  insert.run(id, request.length);
  sum.get();
};

export default handle;
