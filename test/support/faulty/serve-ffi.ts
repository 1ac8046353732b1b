/** workers/serve-ffi.ts with faults. */
import './ffi.ts';
import { failAtStart } from './commit.ts';

export { serve } from '../../../workers/serve-ffi.ts';

failAtStart();
