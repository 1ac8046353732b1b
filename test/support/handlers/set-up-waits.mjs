export async function setUp() {}
export default function () {}
