await 0;
export default function () {}
