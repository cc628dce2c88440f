// What every client's story shares: where the exchange is, moving its time, waiting, and the report at the end.
export const url = process.env.EXCHANGE_URL;
export const key = process.env.APCA_API_KEY_ID;
export const secret = process.env.APCA_API_SECRET_KEY;
export const streamUrl = url.replace("http:", "ws:");

const report = { steps: [] };

export function saw(step, value) {
  report.steps.push([step, value ?? null]);
}

export async function tick(body) {
  const answer = await fetch(`${url}/exchange/v1/tick`, { method: "POST", body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`tick: ${answer.status} ${await answer.text()}`);
}

export async function until(what, condition) {
  for (let round = 0; round < 200; round += 1) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited in vain until ${what}`);
}

// A stream tells nothing of what came before it: orders are placed until it is heard of one.
export async function listening(updates, place) {
  await until("the stream speaks", async () => {
    await place();
    return updates.length > 0;
  });
}

export async function tell(story) {
  try {
    await story();
  } catch (error) {
    process.stdout.write(JSON.stringify({ ...report, failed: String(error?.stack ?? error) }) + "\n");
    process.exit(1);
  }
  process.stdout.write(JSON.stringify(report) + "\n");
  process.exit(0);
}
