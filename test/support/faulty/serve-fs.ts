/** workers/serve-fs.ts with faults. */
import './fs.ts';
import { failAtStart } from './commit.ts';

export { serve } from '../../../workers/serve-fs.ts';

failAtStart();
