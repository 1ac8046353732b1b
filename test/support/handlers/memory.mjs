/** Never loads, and keeps what it allocates. */
for (let kept = {}; ; ) kept = { kept, more: JSON.parse('[[], [], [], [], [], [], [], []]') };
