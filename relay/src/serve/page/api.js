// Asking the server.

/** An answer other than 200, with the server's own sentence. */
class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Where a resource of the API is; relative, so that a proxy may add a path. */
export function resource(name, query) {
  const url = new URL(`api/v1/${name}`, document.baseURI);
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(key, value);
  }
  return url;
}

/** The JSON of a resource. Throws ApiError; status 0 if the server was not reached. */
export async function ask(name, query, signal) {
  let response;
  try {
    response = await fetch(resource(name, query), { signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("relay serve does not answer", 0);
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) {
    throw new ApiError(answer?.error ?? `relay serve answered ${response.status}`, response.status);
  }
  return answer;
}

/** Calls at once and then each `seconds` while the page is visible, until the signal. */
export function every(seconds, signal, call) {
  let timer = null;
  let isRunning = false;
  const run = async () => {
    clearTimeout(timer);
    if (signal.aborted || isRunning || document.hidden) return;
    isRunning = true;
    try {
      await call();
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    } finally {
      isRunning = false;
      if (!signal.aborted) timer = setTimeout(run, seconds * 1000);
    }
  };
  document.addEventListener("visibilitychange", run, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  run();
}
