/**
 * Goal: the FIFO keeps its order and loses no item, through growth, unshift, pop, remove and moveToFront.
 * Method: random operations on it and on a plain array, compared after each.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fifo } from '../src/queue/fifo.ts';

interface Step {
  op: 'push' | 'unshift' | 'shift' | 'pop' | 'remove' | 'moveToFront';
  at: number;
}

const steps = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.constant<Step>({ op: 'push', at: 0 }) },
    { weight: 3, arbitrary: fc.constant<Step>({ op: 'shift', at: 0 }) },
    { weight: 1, arbitrary: fc.constant<Step>({ op: 'unshift', at: 0 }) },
    { weight: 1, arbitrary: fc.constant<Step>({ op: 'pop', at: 0 }) },
    { weight: 1, arbitrary: fc.nat(200).map((at): Step => ({ op: 'remove', at })) },
    { weight: 1, arbitrary: fc.nat(200).map((at): Step => ({ op: 'moveToFront', at })) },
  ),
  { maxLength: 300 },
);

describe('Fifo', () => {
  it('behaves like an array', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const fifo = new Fifo<{ n: number }>();
        let model: { n: number }[] = [];
        for (const [n, step] of list.entries()) {
          const item = { n };
          if (step.op === 'push') {
            fifo.push(item);
            model.push(item);
          } else if (step.op === 'unshift') {
            fifo.unshift(item);
            model.unshift(item);
          } else if (step.op === 'shift') {
            expect(fifo.shift()).toBe(model.shift() ?? null);
          } else if (step.op === 'pop') {
            expect(fifo.pop()).toBe(model.pop() ?? null);
          } else if (step.op === 'remove') {
            const victim = model[step.at % (model.length + 1)] ?? item; // an absent one is not an error
            fifo.remove(victim);
            model = model.filter((one) => one !== victim);
          } else {
            const some = [
              model[step.at % (model.length + 1)] ?? item,
              ...model.slice(0, step.at % 4).reverse(),
            ];
            fifo.moveToFront(some);
            model = [...new Set([...some.filter((one) => model.includes(one)), ...model])];
          }
          expect(fifo.size).toBe(model.length);
          expect(fifo.first).toBe(model.at(0) ?? null);
          expect(fifo.last).toBe(model.at(-1) ?? null);
          expect(fifo.has(item)).toBe(model.includes(item));
        }
        for (const item of model) expect(fifo.shift()).toBe(item);
        expect(fifo.shift()).toBeNull();
      }),
    );
  });

  it('keeps all items when one is put back at the front of a full ring', () => {
    for (const full of [16, 32]) {
      const fifo = new Fifo<{ n: number }>();
      const items = Array.from({ length: full + 1 }, (_, n) => ({ n }));
      for (const item of items.slice(1)) fifo.push(item);
      fifo.unshift(items[0] as { n: number });
      expect(fifo.size).toBe(full + 1);
      for (const item of items) expect(fifo.shift()).toBe(item);
    }
  });

  it('grows only when it is full', () => {
    const fifo = new Fifo<{ n: number }>();
    for (let n = 0; n < 100; n++) fifo.unshift({ n }); // doubling each time would exceed the memory
    for (let n = 99; n >= 0; n--) expect(fifo.shift()?.n).toBe(n);
  });

  it('removes an item from any place, and no other', () => {
    const items = Array.from({ length: 5 }, (_, n) => ({ n }));
    for (const victim of items) {
      const fifo = new Fifo<{ n: number }>();
      for (const item of items) fifo.push(item);
      fifo.remove(victim);
      fifo.remove(victim); // absent now: not an error
      expect(fifo.has(victim)).toBe(false);
      expect(fifo.size).toBe(4);
      for (const item of items) if (item !== victim) expect(fifo.shift()).toBe(item);
    }
  });

  it('moves 50,000 items to the front in linear time', () => {
    const fifo = new Fifo<{ n: number }>();
    const items = Array.from({ length: 50_000 }, (_, n) => ({ n }));
    const last = { n: -1 };
    for (const item of [last, ...items]) fifo.push(item);
    fifo.moveToFront(items); // one by one it would take minutes
    for (const item of [...items, last]) expect(fifo.shift()).toBe(item);
  });

  it('keeps the order of 100,000 items through growth', () => {
    const fifo = new Fifo<{ n: number }>();
    for (let n = 0; n < 100_000; n++) fifo.push({ n });
    for (let n = 0; n < 100_000; n++) expect(fifo.shift()?.n).toBe(n);
  });
});
