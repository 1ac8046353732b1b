/**
 * Ends a thread on an error outside any connection.
 */

/**
 * Runs a task; an error ends the thread. Piscina alone would report the error and give the thread another task, with
 * the words of this one left as they are.
 */
export function exitThreadOnError(task: () => void): Promise<never> | undefined {
  try {
    task();
  } catch (error) {
    setImmediate(() => {
      throw error;
    });
    return new Promise(() => {});
  }
}
