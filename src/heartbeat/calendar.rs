//! Cron's five fields in the words of systemd's `OnCalendar` (systemd.time(7)), where they can say it.

/// Cron counts them from Sunday, which is 7 too.
const DAYS: [&str; 8] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// `0 3 * * 1-5` is `Mon..Fri *-*-* 03:00:00`. None where the two differ: cron runs on a day that fits *either* its day
/// of the month or its day of the week, `OnCalendar` wants both.
pub(super) fn of_cron(cron: &str) -> Option<String> {
    let fields: Vec<_> = cron.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields.as_slice() else { return None };
    if *day != "*" && *weekday != "*" {
        return None;
    }
    let time = format!("{}:{}:00", numbers(hour, 0)?, numbers(minute, 0)?);
    let date = format!("*-{}-{}", numbers(month, 1)?, numbers(day, 1)?);
    match *weekday {
        "*" => Some(format!("{date} {time}")),
        weekday => Some(format!("{} {date} {time}", days(weekday)?)),
    }
}

/// `*`, `*/5`, `7`, `1-5`, `1-20/2`, and lists of them; steps count from `first`.
fn numbers(field: &str, first: u8) -> Option<String> {
    let part = |part: &str| {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse::<u8>().ok().filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let range = match range.split_once('-') {
            Some((from, to)) => format!("{}..{}", number(from)?, number(to)?),
            None if range == "*" && step.is_some() => format!("{first:02}"),
            None if range == "*" => "*".to_owned(),
            // Cron reads 5/10 in more than one way.
            None if step.is_some() => return None,
            None => number(range)?,
        };
        Some(step.map_or(range.clone(), |step| format!("{range}/{step}")))
    };
    let parts = field.split(',').map(part).collect::<Option<Vec<_>>>()?;
    Some(parts.join(","))
}

fn number(text: &str) -> Option<String> {
    text.parse::<u8>().ok().map(|number| format!("{number:02}"))
}

fn days(field: &str) -> Option<String> {
    let day = |text: &str| {
        let named = DAYS.iter().find(|name| name.eq_ignore_ascii_case(text));
        named.or_else(|| DAYS.get(text.parse::<usize>().ok()?)).map(|name| (*name).to_owned())
    };
    let part = |part: &str| match part.split_once('-') {
        // A week of systemd begins on Monday; one that crosses Sunday would be empty.
        Some((from, to)) if from != "0" && day(from)? != "Sun" => Some(format!("{}..{}", day(from)?, day(to)?)),
        Some(_) => None,
        None => day(part),
    };
    let parts = field.split(',').map(part).collect::<Option<Vec<_>>>()?;
    Some(parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_can_say_is_said() {
        for (cron, calendar) in [
            ("0 3 * * *", "*-*-* 03:00:00"),
            ("*/5 * * * *", "*-*-* *:00/5:00"),
            ("15,45 8-18 * * mon-fri", "Mon..Fri *-*-* 08..18:15,45:00"),
            ("30 4 1 */3 *", "*-01/3-01 04:30:00"),
            ("0 0 * * 0,6", "Sun,Sat *-*-* 00:00:00"),
            ("10-50/20 9 * * 7", "Sun *-*-* 09:10..50/20:00"),
        ] {
            assert_eq!(of_cron(cron).as_deref(), Some(calendar), "{cron}");
        }
    }

    #[test]
    fn what_they_say_differently_is_left_alone() {
        for cron in ["0 3 13 * 5", "@daily", "5/10 * * * *", "0 3 L * *", "0 0 * * 0-3", "0 0 * * 1#2", "* * * *", ""] {
            assert_eq!(of_cron(cron), None, "{cron}");
        }
    }
}
