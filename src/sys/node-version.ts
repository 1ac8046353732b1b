/**
 * Which versions of Node run kecho-pool: `engines` of package.json, which npm does not enforce.
 *
 * Pure, imports nothing: bin.ts loads it under any Node.
 */
const NEEDED = '^24.20.0 || >=26.6.0';

function isSupported(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major === 24) return minor >= 20;
  return major === 26 ? minor >= 6 : major > 26;
}

/** Why this version does not do, and the remedy; null when it does. */
export function whyUnsupported(version = process.versions.node): string | null {
  if (isSupported(version)) return null;
  return `Node ${NEEDED} is required, this is Node ${version}; to have one in this folder: npm install node@26`;
}
