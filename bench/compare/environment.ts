/**
 * Where the numbers come from: machine, versions, limits. Reads, changes nothing.
 */
import { readFileSync } from 'node:fs';
import { descriptorLimit } from '../../src/sys/socket.ts';
import { environment } from '../environment.ts';
import type { EnvironmentInfo } from './types.ts';

function setting(path: string): string | null {
  try {
    return readFileSync(`/proc/sys/net/${path}`, 'utf8').trim().replaceAll(/\s+/g, '-');
  } catch {
    return null;
  }
}

export function compareEnvironment(compiler: string | null): EnvironmentInfo {
  const somaxconn = setting('core/somaxconn');
  return {
    ...environment(compiler),
    descriptorLimit: descriptorLimit(),
    somaxconn: somaxconn === null ? null : Number(somaxconn),
    localPorts: setting('ipv4/ip_local_port_range'),
  };
}
