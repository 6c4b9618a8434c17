/** For tests: schedules drawn at random of all that a device can run. */
import { type Choose, pick } from '../compiler/graph/choice-tape.ts';
import type { Advice } from '../compiler/tiles/choices/advice.ts';
import type { Choice } from '../compiler/tiles/choices/choice.ts';
import { allChoices } from '../compiler/tiles/choices/problem.ts';
import type { DeviceProfile } from '../compiler/tiles/device-profile.ts';

/**
 * Of each problem one form is as likely as another, and of a form one choice as another.
 * @param drawn hears what is drawn
 */
export function drawnAdvice(
  choose: Choose,
  device: DeviceProfile,
  drawn: (choice: Choice) => void = () => undefined,
): Advice {
  return (problem) => {
    const all = allChoices(problem, device);
    const form = pick(choose, [...new Set(all.map((choice) => choice.form))]);
    const choice = pick(
      choose,
      all.filter((each) => each.form === form),
    );
    drawn(choice);
    return choice;
  };
}
