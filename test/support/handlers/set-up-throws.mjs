export function setUp() {
  throw new Error('no database\nat all');
}
export default function () {}
