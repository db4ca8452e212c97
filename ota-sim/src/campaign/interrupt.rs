//! A request in the midst of a job: abort, a change of the record, what must be refused.

use std::cell::Cell;

use super::app::{App, Ask, Ended, INTERRUPTED_TIMEOUT_S};
use super::cutter::Cutter;
use super::model::{ImageId, Model, Request};
use super::point::{Cut, Failure};
use super::scenario::Step;
use super::walk::{Specimen, Walk};

impl Walk<'_> {
    /// Installs an image and asks for something in the midst of it: after each of the engine's steps
    /// in turn, or many of them, each time from here. The specimen becomes one that was not
    /// interrupted.
    pub(super) fn interrupt(
        &mut self,
        image: ImageId,
        ask: Ask,
        specimen: &mut Specimen,
        mut cuts: Option<&mut Vec<Cut>>,
    ) -> Result<(), Failure> {
        let mut done = specimen.clone();
        let total = self.interrupt_after(usize::MAX, (image, ask), &mut done, None)?;
        // The first and the last are all different; what lies between repeats itself.
        let (ends, between) = (40, (total / 40).max(1));
        let chosen =
            |steps: &usize| *steps < ends || *steps + ends > total || steps.is_multiple_of(between);
        for steps in (0..total).filter(chosen) {
            let mut fork = self.lend(specimen);
            let result = self
                .interrupt_after(steps, (image, ask), &mut fork, cuts.as_deref_mut())
                .and_then(|_| self.boot(&mut fork, self.seed, None))
                .and_then(|()| self.keeps_its_word(&fork));
            result.map_err(|failure| {
                let story = format!("{ask:?} after {steps} of {total} steps");
                Failure::new(format!("{story}: {}", failure.message))
            })?;
            self.scratch.push(fork);
        }
        *specimen = done;
        Ok(())
    }

    /// The same after so many steps, and how many were made if the job was over before.
    fn interrupt_after(
        &mut self,
        steps: usize,
        (image, ask): (ImageId, Ask),
        specimen: &mut Specimen,
        cuts: Option<&mut Vec<Cut>>,
    ) -> Result<usize, Failure> {
        let (step, rig) = (Step::Interrupt(image, ask), self.rig);
        let bundle = self.images.get(image).bundle(rig.product.data);
        let asking = Cell::new(false);
        let run = |app: &mut dyn App| {
            (app.interrupt(bundle, steps, ask, &|now| asking.set(now)), app.state())
        };
        let before = specimen.possible.clone();
        let ran = match cuts {
            None => rig.run(&mut specimen.board, None, run),
            Some(cuts) => {
                let during = self.during(step, specimen);
                let mut cutter = Cutter::new(self, during, cuts, Some(&asking));
                rig.run(&mut specimen.board, Some(&mut cutter), run)
            }
        };
        let (ended, state) = ran.map_err(Failure::new)?;
        let ended = ended.map_err(Failure::new)?;
        // What was asked for changes the outcome only where it was in time.
        let installs = Step::Install(image, INTERRUPTED_TIMEOUT_S);
        let asked = if ended == Ended::Installed { step } else { installs };
        let request = |model: &Model| asked.request(self.images, model);
        let after = before.into_iter().flat_map(|before| {
            let ways = before.apply(&request(&before)).unwrap_or_default();
            let after = match ended {
                Ended::Aborted => std::iter::once(before.clone()).chain(ways.between).collect(),
                Ended::Before(_) | Ended::Installed | Ended::TooLate => ways.done,
            };
            after.into_iter().map(move |after| (before.clone(), after)).collect::<Vec<_>>()
        });
        let installed = (ended != Ended::Aborted).then_some(&request as &dyn Fn(&Model) -> Request);
        specimen.strike(after.collect(), &state, installed, &|| format!("{ended:?}"))?;
        Ok(match ended {
            Ended::Before(made) => made,
            Ended::Aborted | Ended::Installed | Ended::TooLate => steps,
        })
    }
}
