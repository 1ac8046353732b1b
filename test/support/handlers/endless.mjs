// Waits and does not compute: the tests beside it need the processor.
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
