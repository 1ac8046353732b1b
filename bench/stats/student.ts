/**
 * Student's t distribution. Pure.
 */

/** Lanczos coefficients for g = 7 (Godfrey). */
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
] as const;

/** The logarithm of the gamma function, for x >= 0.5. */
function logGamma(x: number): number {
  const t = x + 6.5;
  const series = LANCZOS.reduce((sum, c, i) => sum + (i === 0 ? c : c / (x - 1 + i)), 0);
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(series);
}

const TERMS_MAX = 500;
const PRECISION = 1e-13;

/** The continued fraction of the incomplete beta function (Lentz's method). */
function betaFraction(x: number, a: number, b: number): number {
  let c = 1;
  let d = 1 / (1 - ((a + b) * x) / (a + 1));
  let product = d;
  const step = (term: number) => {
    d = 1 / (1 + term * d);
    c = 1 + term / c;
    product *= c * d;
  };
  for (let m = 1; m < TERMS_MAX; m++) {
    step((m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)));
    step((-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)));
    if (Math.abs(c * d - 1) < PRECISION) break;
  }
  return product;
}

/** The regularised incomplete beta function. */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0 || x >= 1) return x <= 0 ? 0 : 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const logFactor = a * Math.log(x) + b * Math.log(1 - x) + logGamma(a + b) - logGamma(a) - logGamma(b);
  return (Math.exp(logFactor) * betaFraction(x, a, b)) / a;
}

/** The probability that |T| exceeds |t|. */
export function twoSided(t: number, degrees: number): number {
  return incompleteBeta(degrees / (degrees + t * t), degrees / 2, 0.5);
}

/** The probability that T exceeds t. */
export function upperTail(t: number, degrees: number): number {
  const tail = twoSided(t, degrees) / 2;
  return t > 0 ? tail : 1 - tail;
}

const criticalValues = new Map<string, number>();

/** The t that |T| exceeds with probability p, by bisection. */
export function criticalT(p: number, degrees: number): number {
  const key = `${p}/${degrees}`;
  const known = criticalValues.get(key);
  if (known !== undefined) return known;
  let [low, high] = [0, 1];
  while (twoSided(high, degrees) > p) high *= 2;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (twoSided(middle, degrees) > p) low = middle;
    else high = middle;
  }
  criticalValues.set(key, high);
  return high;
}
