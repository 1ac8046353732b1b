/** Exports that cannot be handlers. */
export const number = 1;
export async function asynchronous() {}
